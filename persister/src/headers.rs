//! Headers of a delivery, for `proto` to read: neither crate knows the other's type.

use proto::envelope::Lookup;
use runtime::delivery::Delivery;

pub(crate) struct Headers<'a>(pub(crate) &'a Delivery);

impl Lookup for Headers<'_> {
    fn get(&self, name: &'static str) -> Option<&str> {
        self.0.header(name)
    }
}
