//! What is left when a run is killed, a connection is cut, a server falls over or a store is damaged: never
//! a loss, never a row twice, and never a success that is not true.

#[path = "crash/backends.rs"]
mod backends;
#[path = "crash/damage.rs"]
mod damage;
#[path = "crash/kills.rs"]
mod kills;
#[path = "crash/matrix.rs"]
mod matrix;
#[path = "crash/migrations.rs"]
mod migrations;
#[path = "crash/phases.rs"]
mod phases;
#[path = "crash/scene.rs"]
mod scene;
#[path = "crash/servers.rs"]
mod servers;
#[path = "crash/upsets.rs"]
mod upsets;
