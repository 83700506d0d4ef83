//! The API: what it answers, in which shape, how fast it lets itself be asked, and how it fails.

mod desk;
mod events;
mod limits;
mod lists;
mod objects;
mod refusals;
