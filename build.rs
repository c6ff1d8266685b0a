//! Turns `proto/tempopb/tempo.proto` and `proto/prometheus/remote.proto` into Rust. The compiler is protox, so no `protoc` program is needed, and the
//! OpenTelemetry messages are those of the crate `opentelemetry-proto`, so that there is one set of them.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["tempopb/tempo.proto", "prometheus/remote.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // Without a transport the client is generic code; it is there for the tests.
        .build_transport(false)
        // Answers list the members of maps in order, so that equal answers are equal bytes.
        .btree_map(".")
        .extern_path(".opentelemetry.proto", "::opentelemetry_proto::tonic")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
