"""What a store holds that nothing needs any more, and its removal."""
