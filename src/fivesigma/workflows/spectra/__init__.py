"""Mass spectra: what is described, read, fitted and shown."""
