"""Split labels into train, validation and a frozen test part."""
