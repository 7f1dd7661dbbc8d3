//! E-mail.

pub(crate) mod ses;
