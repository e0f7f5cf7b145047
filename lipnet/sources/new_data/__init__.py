"""What ``lipnet predict`` finds on disk: images, label masks, tables of micrographs, and files that it leaves out."""
