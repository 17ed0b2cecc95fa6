"""Agreement of a trained denoiser with those in closed form."""
