//! From blocks of samples to classified bursts
