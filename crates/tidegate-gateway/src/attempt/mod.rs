//! Attempted: one provider request until its first output.

<<<<<<< HEAD
pub mod call;
=======
pub mod alarm;
>>>>>>> wt-find
pub mod connect;
pub mod framing;
pub mod h1;
pub mod h2;
pub mod io;
pub mod open;
pub mod provider;
pub mod pushback;
