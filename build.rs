//! Sets what the addon's linking needs.

fn main() {
    napi_build::setup();
}
