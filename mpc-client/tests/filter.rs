//! Pictures filtered by three real servers.

mod program;

use std::path::Path;

use image::{GrayImage, Rgb, RgbImage, Rgba, RgbaImage};
use program::{client, run};
use serde_json::Value;
use tempfile::tempdir;

/// A value that looks random.
fn value(x: u32, y: u32, c: u32) -> u8 {
    ((x + 1).wrapping_mul(2_654_435_761) ^ (y + 7).wrapping_mul(40_503) ^ (c + 3).wrapping_mul(668_265_263))
        .to_le_bytes()[2]
}

/// A filtered pixel, straight from the definition.
fn filtered(at: impl Fn(u32, u32) -> u8, [width, height]: [u32; 2], kernel: &[f64], x: u32, y: u32) -> f64 {
    let side = if kernel.len() == 9 { 3 } else { 5 };
    let neighbour =
        |start: u32, step: i64, length: u32| (i64::from(start) + step).clamp(0, i64::from(length) - 1) as u32;
    let taps = kernel.iter().enumerate().map(|(i, tap)| {
        let (dy, dx) = (i as i64 / side - side / 2, i as i64 % side - side / 2);
        tap * f64::from(at(neighbour(x, dx, width), neighbour(y, dy, height)))
    });
    taps.sum::<f64>().clamp(0.0, 255.0)
}

fn filter(dir: &Path, options: &[&str], [kernel, input, output]: [&str; 3]) -> (String, String, i32) {
    let arguments = ["--kernel", kernel, "--input", input, "--output", output];
    run(client(dir).arg("filter").args(options).args(arguments))
}

#[test]
fn what_is_written_is_the_definition_and_the_clear_filter() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    // One pixel more than a tile is wide.
    let colour = RgbImage::from_fn(257, 9, |x, y| Rgb([0, 1, 2].map(|c| value(x, y, c))));
    colour.save(dir.join("colour.png")).unwrap();
    let own: Vec<f64> = (0..25).map(|i| f64::from(value(i, 5, 5)) / 64.0 - 2.0).collect();
    std::fs::write(dir.join("own.txt"), own.iter().map(f64::to_string).collect::<Vec<_>>().join("\n")).unwrap();
    let sharpen = [0.0, -1.0, 0.0, -1.0, 5.0, -1.0, 0.0, -1.0, 0.0];
    for (name, kernel) in [("sharpen", &sharpen[..]), ("own.txt", &own)] {
        let (out, err, code) = filter(dir, &["--local", "--json"], [name, "colour.png", "secure.png"]);
        assert_eq!(code, 0, "{err}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&answer["security"], &answer["tiles"]), (&"active".into(), &2.into()));
        assert!(answer["rounds"].as_u64().unwrap() > 0);
        let written = image::open(dir.join("secure.png")).unwrap().into_rgb8();
        assert_eq!(written.dimensions(), (257, 9));
        for (x, y, pixel) in written.enumerate_pixels() {
            for c in 0..3 {
                let expected = filtered(|x, y| colour.get_pixel(x, y)[c], [257, 9], kernel, x, y);
                assert!(
                    (f64::from(pixel[c]) - expected).abs() < 0.51,
                    "{name} at {x}, {y}, {c}: {pixel:?}, {expected}"
                );
            }
        }
        let (_, err, code) = filter(dir, &["--clear"], [name, "colour.png", "clear.png"]);
        assert_eq!(code, 0, "{err}");
        assert_eq!(image::open(dir.join("clear.png")).unwrap().into_rgb8(), written);
    }
}

#[test]
fn grey_stays_grey_and_transparency_stays() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    GrayImage::from_fn(7, 5, |x, y| image::Luma([value(x, y, 0)])).save(dir.join("grey.png")).unwrap();
    let glass = RgbaImage::from_fn(4, 6, |x, y| Rgba([0, 1, 2, 3].map(|c| value(x, y, c))));
    glass.save(dir.join("glass.png")).unwrap();
    let (out, err, code) = filter(dir, &["--local"], ["mean", "grey.png", "grey-out.png"]);
    assert!(code == 0 && out.is_empty() && err.contains("grey-out.png") && err.contains("active"), "{err}");
    assert!(matches!(image::open(dir.join("grey-out.png")).unwrap(), image::DynamicImage::ImageLuma8(_)));
    let edges = "-1 -1 -1 -1 8 -1 -1 -1 -1";
    let (_, err, code) = filter(dir, &["--local", "--security", "passive"], [edges, "glass.png", "glass-out.png"]);
    assert!(code == 0 && err.contains("passive"), "{err}");
    let written = image::open(dir.join("glass-out.png")).unwrap().into_rgba8();
    assert!(written.pixels().zip(glass.pixels()).all(|(written, pixel)| written[3] == pixel[3]));
    assert_ne!(written, glass);
}

#[test]
fn mistakes_are_told_before_anybody_is_asked() {
    let dir = tempdir().unwrap();
    let dir = dir.path();
    GrayImage::from_pixel(3, 3, image::Luma([9])).save(dir.join("in.png")).unwrap();
    std::fs::write(dir.join("text.png"), "not a picture").unwrap();
    std::fs::write(dir.join("short.txt"), "1 2 3").unwrap();
    for (files, expected) in [
        (["sharp", "in.png", "out.png"], "sharpen, blur"),
        (["short.txt", "in.png", "out.png"], "short.txt"),
        (["1 2 3", "in.png", "out.png"], "not 3"),
        (["sharpen", "missing.png", "out.png"], "missing.png"),
        (["sharpen", "text.png", "out.png"], "text.png"),
        (["sharpen", "in.png", "out.jpg"], "PNG"),
        (["sharpen", "in.png", "nowhere/out.png"], "nowhere"),
    ] {
        // Without --local and without a cluster: whoever is asked for does not exist.
        let (_, err, code) = filter(dir, &[], files);
        assert!(code == 2 && err.contains(expected), "{files:?}: {code}, {err}");
    }
    let (_, err, code) = filter(dir, &["--csv"], ["sharpen", "in.png", "out.png"]);
    assert!(code == 2 && err.contains("--csv"), "{err}");
}
