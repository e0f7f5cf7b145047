"""lipnet: classifiers of single-particle electron-microscopy crops, trained, evaluated and compared."""
