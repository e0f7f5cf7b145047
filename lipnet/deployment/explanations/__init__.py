"""What a network responds to (thesis, sections 4.4 and 10): maps, pictures, agreement with particle features."""
