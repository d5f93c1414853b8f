//! Tables of the radio standards: bands, channels, bursts, sequences, each with its source
