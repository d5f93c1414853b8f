//! Sources of sample blocks, live and replayed, behind one trait
