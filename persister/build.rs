//! Makes cargo look at the migrations again when one is added: the macro that embeds them is not told by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
