"""Artificial liposomes (thesis, section 4.8.4): planning of micrographs, composition of particles, and drawing."""
