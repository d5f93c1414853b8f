//! The classifiers, one standard a file, behind one plain seam: [`Classifier`](crate::candidate::Classifier).

pub mod budget;
pub mod gsm;
pub mod leftover;
pub mod lte;
pub mod ltem;
pub mod nbiot;
pub mod nr;
pub mod prefix;
