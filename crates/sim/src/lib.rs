//! Scenes with known truth: waveforms, channels, receivers
