//! The store against a real PostgreSQL: one server for all of these tests, a database for each.

#[cfg(test)]
#[path = "../postgres/mod.rs"]
mod postgres;
#[cfg(test)]
mod records;

#[cfg(test)]
mod erasing;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod judging;
#[cfg(test)]
mod model;
#[cfg(test)]
mod retention;
#[cfg(test)]
mod rights;
#[cfg(test)]
mod tables;
#[cfg(test)]
mod together;
#[cfg(test)]
mod upkeep;
