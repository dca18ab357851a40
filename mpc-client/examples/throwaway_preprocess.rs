//! throw-away: MODEL LIST OUT.npy
use std::io::Write;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let m = mpc_core::model::Manifest::read(a[1].as_ref()).unwrap();
    let (mut data, mut total, mut counts) = (Vec::<u8>::new(), 0, vec![]);
    for f in std::fs::read_to_string(&a[2]).unwrap().lines() {
        let p =
            mpc_client::preprocess::prepare(&m, f.as_ref(), Default::default()).unwrap_or_else(|e| panic!("{f} {e}"));
        total += p.windows;
        counts.push(p.windows.to_string());
        for x in p.features.iter() {
            data.extend(x.to_le_bytes());
        }
    }
    let shape = std::iter::once(total)
        .chain(m.input.shape.iter().copied())
        .map(|d| d.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let mut h = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    while (h.len() + 11) % 64 != 0 {
        h.push(' ');
    }
    h.push('\n');
    let mut f = std::fs::File::create(&a[3]).unwrap();
    f.write_all(b"\x93NUMPY\x01\x00").unwrap();
    f.write_all(&(h.len() as u16).to_le_bytes()).unwrap();
    f.write_all(h.as_bytes()).unwrap();
    f.write_all(&data).unwrap();
    std::fs::write(format!("{}.counts", a[3]), counts.join("\n")).unwrap();
}
