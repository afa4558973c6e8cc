//! Composes the engines into preflight, dump, restore, migrate, verify and backup; plan, execute, resume.
