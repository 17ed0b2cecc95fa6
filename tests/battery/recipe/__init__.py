"""The battery of recipes; importing it registers its checks."""

from battery.recipe import checks
from battery.recipe.subject import RecipeSubject as Subject

__all__ = ["Subject", "checks"]
