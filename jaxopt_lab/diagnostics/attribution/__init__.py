"""Attribution of a model's outputs to training examples, and unlearning by it."""
