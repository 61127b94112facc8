"""The model itself: text → tokens → batches → scores; saved as a bundle, opened only when every byte is as expected."""
