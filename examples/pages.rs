//! Writes a sample of every page into a folder, for viewing in a browser:
//! `cargo run --example pages -- FOLDER`, then serve the folder over HTTP (the icons need an origin).

use std::error::Error;
use std::path::PathBuf;

use oncelink::{assets, download, web};

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        PathBuf::from(std::env::args_os().nth(1).ok_or("give the folder to write to as an argument")?);
    for asset in
        [&assets::WEB_STYLE, &assets::ICONS, &assets::FAVICON, &assets::UPLOAD_SCRIPT, &assets::LINKS_SCRIPT]
    {
        let path = folder.join(asset.url.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().ok_or("an asset has no folder")?)?;
        std::fs::write(path, asset.bytes)?;
    }
    for (service, pages) in
        [("web", web::http::samples::samples()?), ("download", download::pages::samples()?)]
    {
        for (name, html) in pages {
            std::fs::write(folder.join(format!("{service}-{name}.html")), html)?;
        }
    }
    Ok(())
}
