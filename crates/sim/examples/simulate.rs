//! Renders a scene: `cargo run --release --example simulate -- SCENE.toml DIR`.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(scene), Some(out)) = (args.next(), args.next()) else {
        return Err("usage: simulate SCENE.toml DIR".into());
    };
    for path in cellwarden_sim::simulate(scene.as_ref(), out.as_ref(), &mut |_| {})? {
        println!("{}", path.display());
    }
    Ok(())
}
