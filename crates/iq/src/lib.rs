//! Recordings of IQ samples: raw, SigMF, WAV, HDF5, standard input, in and out
