//! Pictures: PNG or JPEG, cropped, resized, normalised.

use std::io::Cursor;

use ::image::error::{ImageError, LimitErrorKind};
use ::image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use fast_image_resize::images::Image as Pixels;
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use mpc_core::model::manifest::{Channels, Image};
use ndarray::{ArrayD, IxDyn};

use super::{Error, Rect, Result, caught};

/// Maximum pixels in each direction; larger pictures are refused before decoding.
const MAX_SIDE: u32 = 10_000;
/// Maximum bytes for decoding.
const MAX_DECODED: u64 = 512 << 20;
const FORMATS: &str = "PNG or JPEG";

/// `[1, channels, height, width]`. The largest centred rectangle with the aspect ratio of the input is taken from
/// the box, or from the whole picture. Transparency is ignored.
pub(super) fn pixels(parameters: &Image, shape: &[usize], bytes: Vec<u8>, crop: Option<Rect>) -> Result<ArrayD<f32>> {
    let &[channels, height, width] = shape else {
        return Err(Error::Unsupported("an input shape that is not [channels, height, width]".into()));
    };
    let picture = caught(|| decode(bytes))?;
    let source = crop.unwrap_or(Rect { left: 0, top: 0, width: picture.width(), height: picture.height() });
    let resized = resize(parameters.channels, &picture, source, width as u32, height as u32)?;
    let at = |constants: &[f32], c: usize| if constants.len() == 1 { constants[0] } else { constants[c] };
    Ok(ArrayD::from_shape_fn(IxDyn(&[1, channels, height, width]), |index| {
        let (c, y, x) = (index[1], index[2], index[3]);
        let intensity = f32::from(resized[(y * width + x) * channels + c]) / 255.0;
        (intensity - at(&parameters.mean, c)) / at(&parameters.std, c)
    }))
}

/// Decodes a PNG or JPEG within limits and turns the picture as its orientation tag says.
pub(super) fn decode(bytes: Vec<u8>) -> Result<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    if reader.format().is_none() {
        return Err(Error::Unrecognized { expected: FORMATS });
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let orientation = decoder.orientation().map_err(refused)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(refused)?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

fn refused(error: ImageError) -> Error {
    match error {
        ImageError::Limits(e) => {
            let what = match e.kind() {
                LimitErrorKind::DimensionError => "more pixels than can be read",
                _ => "needs too much memory",
            };
            let limit = format!("{MAX_SIDE}x{MAX_SIDE} pixels and {MAX_DECODED} bytes");
            Error::TooLarge { what: what.into(), limit }
        }
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Error::Truncated,
        ImageError::Unsupported(e) => Error::Unsupported(e.to_string()),
        other => Error::Damaged(other.to_string()),
    }
}

/// Interleaved channels of the resized rectangle.
fn resize(channels: Channels, picture: &DynamicImage, source: Rect, width: u32, height: u32) -> Result<Vec<u8>> {
    let (full_width, full_height) = (picture.width(), picture.height());
    let inside = |start: u32, len: u32, full: u32| len > 0 && start.checked_add(len).is_some_and(|end| end <= full);
    if !inside(source.left, source.width, full_width) || !inside(source.top, source.height, full_height) {
        return Err(Error::BoxOutside { width: full_width, height: full_height });
    }
    let part = picture.crop_imm(source.left, source.top, source.width, source.height);
    let (pixel_type, values) = match channels {
        Channels::Grey => (PixelType::U8, part.to_luma8().into_raw()),
        Channels::Rgb => (PixelType::U8x3, part.to_rgb8().into_raw()),
    };
    let damaged = |e: &dyn std::fmt::Display| Error::Damaged(e.to_string());
    let from = Pixels::from_vec_u8(source.width, source.height, values, pixel_type).map_err(|e| damaged(&e))?;
    let mut to = Pixels::new(width, height, pixel_type);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .fit_into_destination(Some((0.5, 0.5)));
    Resizer::new().resize(&from, &mut to, &options).map_err(|e| damaged(&e))?;
    Ok(to.into_vec())
}
