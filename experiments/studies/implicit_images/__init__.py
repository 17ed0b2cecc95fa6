"""Networks of sines fitted to signals of low and of high frequencies."""
