//! What people and machines read: JSON Lines, CSV, table, SigMF annotations
