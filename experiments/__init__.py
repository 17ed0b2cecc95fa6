"""Training, comparing and inspecting with jaxopt_lab, from the checkout."""
