"""Training: ids and targets -> weights and history, by one of two engines."""
