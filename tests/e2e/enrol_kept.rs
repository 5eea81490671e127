//! Enrolments.
