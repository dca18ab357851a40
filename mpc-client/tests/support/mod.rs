//! Pictures, and a model small enough to write out here.

#![allow(dead_code, reason = "shared by test programs, each of which uses a part")]

use std::path::{Path, PathBuf};

/// Writes a grey picture of one shade (0 black, 255 white).
pub(crate) fn picture(dir: &Path, name: &str, shade: u8) -> PathBuf {
    let path = dir.join(name);
    image::GrayImage::from_pixel(20, 16, image::Luma([shade])).save(&path).expect("a file can be written");
    path
}

/// Writes the model `name` to `models/name`: of the two labels, the second is for pictures whose mean is above 1/2.
pub(crate) fn brightness_model(models: &Path, name: &str, labels: [&str; 2]) -> PathBuf {
    let folder = models.join(name);
    std::fs::create_dir_all(&folder).expect("a file can be written");
    let manifest = format!(
        r#"
        format = 1
        name = "{name}"
        title = "Whether a picture is dark or bright"
        task = "classify"
        labels = {labels:?}
        reveal = "label"
        security = "passive"
        licence = "open"
        [preprocess]
        kind = "image"
        channels = "grey"
        mean = [0.5]
        std = [0.5]
        [input]
        shape = [1, 8, 8]
        range = 1.0
        [bounds]
        policy = "proved"
        "#
    );
    std::fs::write(folder.join("manifest.toml"), manifest).expect("a file can be written");
    let weights: Vec<f32> = (0..64).flat_map(|_| [-1.0 / 64.0, 1.0 / 64.0]).collect();
    std::fs::write(folder.join("model.onnx"), onnx::flatten_gemm(&[1, 8, 8], 2, &weights))
        .expect("a file can be written");
    folder
}

/// Writes the same network as one that compares: dark and bright pictures have opposite embeddings. `reveal` is the
/// manifest's value.
pub(crate) fn comparing_model(models: &Path, name: &str, reveal: &str) -> PathBuf {
    let folder = brightness_model(models, name, ["same", "different"]);
    let path = folder.join("manifest.toml");
    let manifest = std::fs::read_to_string(&path).expect("what was just written");
    let manifest = manifest.replace("task = \"classify\"", "task = \"face\"");
    let manifest = manifest.replace("reveal = \"label\"", &format!("reveal = {reveal:?}"));
    let embedding = "\n[embedding]\nsize = 2\nthreshold = 0.5\n";
    std::fs::write(path, manifest + embedding).expect("a file can be written");
    folder
}

/// Just enough of ONNX's protobuf encoding.
mod onnx {
    fn varint(mut n: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while n >= 0x80 {
            out.push(n as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out
    }

    fn number(tag: u64, n: u64) -> Vec<u8> {
        [varint(tag << 3), varint(n)].concat()
    }

    fn bytes(tag: u64, content: &[u8]) -> Vec<u8> {
        [varint(tag << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
    }

    fn node(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
        let inputs: Vec<u8> = inputs.iter().flat_map(|input| bytes(1, input.as_bytes())).collect();
        bytes(1, &[inputs, bytes(2, output.as_bytes()), bytes(3, op.as_bytes()), bytes(4, op.as_bytes())].concat())
    }

    /// `ValueInfoProto` of float32 `[n, shape...]`.
    fn value(name: &str, shape: &[u64]) -> Vec<u8> {
        let batch = bytes(1, &bytes(2, b"n"));
        let sides = shape.iter().flat_map(|&side| bytes(1, &number(1, side)));
        let shape: Vec<u8> = batch.into_iter().chain(sides).collect();
        let tensor = [number(1, 1), bytes(2, &shape)].concat();
        [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
    }

    fn tensor(name: &str, dims: &[u64], data: &[f32]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|&dim| number(1, dim)).collect();
        let raw: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes(5, &[dims, number(2, 1), bytes(8, name.as_bytes()), bytes(9, &raw)].concat())
    }

    /// A file that flattens `[n, input...]` and multiplies by `weights`, `[inputs, outputs]`.
    pub(crate) fn flatten_gemm(input: &[u64], outputs: u64, weights: &[f32]) -> Vec<u8> {
        let graph = [
            node("Flatten", &["x"], "flat"),
            node("Gemm", &["flat", "w", "b"], "y"),
            bytes(2, b"brightness"),
            tensor("w", &[input.iter().product(), outputs], weights),
            tensor("b", &[outputs], &vec![0.0; outputs as usize]),
            bytes(11, &value("x", input)),
            bytes(12, &value("y", &[outputs])),
        ]
        .concat();
        let opset = bytes(8, &number(2, 17));
        [number(1, 8), bytes(7, &graph), opset].concat()
    }
}
