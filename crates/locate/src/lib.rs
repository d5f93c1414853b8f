//! From burst records to hits per cell block
