"""Prediction with NumPy alone: weights in, logits out."""
