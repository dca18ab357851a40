use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mpc_core::ring::Tensor;
use mpc_core::sharing::ArithmeticShare;
use mpc_core::wire::peer::Catalog;
use redb::backends::InMemoryBackend;
use redb::{Database, StorageBackend};

use super::*;

const ID: Id = [7; 32];

fn share(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(89) ^ 0xa5).collect()
}

fn header(share: &[u8]) -> Header {
    Header {
        tenant: "clinic".into(),
        manifest: "m".into(),
        graph: vec![1, 2],
        length: share.len() as u64,
        digest: Sha256::digest(share).into(),
        begun_s: 1,
        complete: false,
    }
}

/// Uploads a share from where it is on.
fn upload(store: &Store, id: &Id, share: &[u8]) -> Result<()> {
    let have = store.begin(id, &header(share))? as usize;
    for (index, chunk) in share.chunks(CHUNK).enumerate().skip(have / CHUNK) {
        store.append(id, index as u32, chunk)?;
    }
    store.complete(id)
}

/// A record as it lies in the store.
fn sealed(store: &Store, record: Record) -> Vec<u8> {
    store.backend.snapshot().unwrap().get(record).unwrap().expect("there")
}

/// Puts bytes in the place of a record.
fn put_unsealed(store: &Store, record: Record, bytes: Vec<u8>) {
    assert!(store.backend.write(&Batch { put: vec![(record, bytes)], ..Batch::default() }).unwrap());
}

fn served(id: Id) -> Catalog {
    Catalog::default().with("clinic", "digits", Some(id)).unwrap()
}

#[test]
fn an_upload_goes_on_where_it_was_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let key = StoreKey::fresh().unwrap();
    let share = share(2 * CHUNK + 77);
    let store = Store::open(dir.path(), &key).unwrap();
    assert_eq!(store.begin(&ID, &header(&share)).unwrap(), 0);
    store.append(&ID, 0, &share[..CHUNK]).unwrap();
    assert!(store.complete(&ID).is_err(), "not whole");
    drop(store);

    let store = Store::open(dir.path(), &key).unwrap();
    assert_eq!(store.begin(&ID, &header(&share)).unwrap(), CHUNK as u64);
    upload(&store, &ID, &share).unwrap();
    assert_eq!(store.begin(&ID, &header(&share)).unwrap(), share.len() as u64, "nothing left to send");
    let (stored, bytes) = store.read(&ID).unwrap();
    assert!(stored.complete && *bytes == share);

    store.append(&ID, 1, b"damaged").unwrap();
    assert_eq!(store.begin(&ID, &header(&share)).unwrap(), 0, "a damaged share begins anew");
    upload(&store, &ID, &share).unwrap();

    let other = Header { digest: [0; 32], ..header(&share) };
    assert_eq!(store.begin(&ID, &other).unwrap(), 0, "another share begins anew");
    for (index, chunk) in share.chunks(CHUNK).enumerate() {
        store.append(&ID, index as u32, chunk).unwrap();
    }
    assert!(store.complete(&ID).unwrap_err().to_string().contains("not the one"));
    assert!(store.headers().unwrap().is_empty());
}

#[test]
fn a_change_of_what_is_in_service_is_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let key = StoreKey::fresh().unwrap();
    let store = Store::open(dir.path(), &key).unwrap();
    assert_eq!(store.catalog().unwrap(), Catalog::default());
    upload(&store, &ID, b"first").unwrap();
    store.set_catalog(&served(ID), &[], &[]).unwrap();
    upload(&store, &[8; 32], b"second").unwrap();
    let next = served(ID).with("clinic", "digits", Some([8; 32])).unwrap();
    let conflict = store.replace_catalog(0, &next, &[ID], &[]);
    assert!(matches!(conflict, Err(StoreError::Conflict { expected: 0, found: 1 })), "{conflict:?}");
    assert_eq!(store.catalog().unwrap(), served(ID));
    store.replace_catalog(1, &next, &[ID], &[]).unwrap();
    drop(store);
    let store = Store::open(dir.path(), &key).unwrap();
    assert_eq!(store.catalog().unwrap(), next);
    assert!(store.read(&ID).is_err() && store.read(&[8; 32]).is_ok());
}

#[test]
fn sealed_and_tied_to_the_key_and_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreKey::fresh().unwrap()).unwrap();
    upload(&store, &ID, &[0xa5; 1000]).unwrap();
    upload(&store, &[8; 32], &[0xa6; 1000]).unwrap();
    store.set_catalog(&served(ID), &[], &[]).unwrap();
    put_unsealed(&store, Record::Header(ID), sealed(&store, Record::Header([8; 32])));
    assert!(matches!(store.read(&ID), Err(StoreError::Damaged(_))), "the record of another publication");
    let report = store.verify().unwrap();
    assert!(report.problems.iter().any(|line| line.contains("clinic/digits")), "{report:?}");
    drop(store);

    let bytes = std::fs::read(dir.path().join(DATABASE_FILE)).unwrap();
    assert!(!bytes.windows(16).any(|window| window == [0xa5; 16]), "the share is not in the file");
    let other = Store::open(dir.path(), &StoreKey::fresh().unwrap());
    assert!(matches!(other, Err(StoreError::WrongKey(_))));
}

#[test]
fn a_backup_is_restored_and_a_damaged_one_is_refused() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let key = StoreKey::fresh().unwrap();
    let store = Store::open(dir.path(), &key).unwrap();
    upload(&store, &ID, &share(CHUNK + 5)).unwrap();
    store.set_catalog(&served(ID), &[], &[]).unwrap();
    let backup = other.path().join("backup");
    store.backup(&backup).unwrap();
    assert!(store.backup(&backup).is_err(), "never overwritten");
    assert!(matches!(restore(&backup, dir.path(), &key), Err(StoreError::InUse(_))));
    store.set_catalog(&Catalog { revision: 2, entries: Vec::new() }, &[ID], &[]).unwrap();
    drop(store);

    let kept = restore(&backup, dir.path(), &key).unwrap().unwrap();
    assert!(kept.exists());
    let store = Store::open(dir.path(), &key).unwrap();
    assert_eq!(store.catalog().unwrap(), served(ID));
    assert!(store.verify().unwrap().problems.is_empty());
    drop(store);

    assert!(restore(&backup, other.path(), &StoreKey::fresh().unwrap()).is_err(), "another key");
    let mut bytes = std::fs::read(&backup).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..][..200].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&backup, bytes).unwrap();
    if restore(&backup, other.path(), &key).is_ok() {
        // The change has hit a part of the file that holds nothing.
        assert!(Store::open(other.path(), &key).unwrap().verify().unwrap().problems.is_empty());
    }
}

/// A disk of so many bytes that lasts: what was written stays when the database is opened again.
#[derive(Debug, Clone)]
struct Disk {
    memory: Arc<InMemoryBackend>,
    room: Arc<AtomicU64>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.memory.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.memory.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.room.load(Ordering::Relaxed) {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        self.memory.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.memory.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.memory.write(offset, data)
    }
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let room = Arc::new(AtomicU64::new(u64::MAX));
    let disk = Disk { memory: Arc::default(), room: room.clone() };
    let opener = move || Database::builder().create_with_backend(disk.clone());
    let path = Path::new("disk");
    let backend = Embedded::open_with(path, Box::new(opener)).unwrap();
    let store = Store::with(Box::new(backend), path, &StoreKey::fresh().unwrap()).unwrap();
    upload(&store, &ID, &share(100_000)).unwrap();
    store.set_catalog(&served(ID), &[], &[]).unwrap();
    room.store(6 << 20, Ordering::Relaxed);
    let large = share(20 << 20);
    let error = upload(&store, &[8; 32], &large).unwrap_err();
    assert!(format!("{error}").to_lowercase().contains("no storage space"), "{error}");
    assert_eq!(store.catalog().unwrap(), served(ID));
    assert_eq!(*store.read(&ID).unwrap().1, share(100_000));
    let have = store.begin(&[8; 32], &header(&large)).unwrap();
    assert!(have > 0 && have < large.len() as u64, "what fitted is there: {have}");
    room.store(u64::MAX, Ordering::Relaxed);
    upload(&store, &[8; 32], &large).unwrap();
    assert_eq!(*store.read(&[8; 32]).unwrap().1, large);
}

#[test]
fn templates_are_kept_sealed_and_forgotten_with_the_list_that_they_leave() {
    let (dir, key) = (tempfile::tempdir().unwrap(), StoreKey::fresh().unwrap());
    let store = Store::open(dir.path(), &key).unwrap();
    let component = |from: u64| Tensor::from_shape_vec(&[3][..], (from..from + 3).collect()).unwrap();
    let template = |from: u64| ArithmeticShare::new(component(from), component(from + 10));
    let (first, second) = ((ID, [1; 32]), (ID, [2; 32]));
    for (key, from) in [(first, 100), (second, 200)] {
        store.keep_template(&key, &template(from), &[]).unwrap();
    }
    let read = |keys: &[TemplateKey]| -> Vec<Template> {
        store.read_templates(keys).unwrap().into_iter().map(Result::unwrap).collect()
    };
    let both = read(&[second, first]);
    assert_eq!((both[0].share.own(), both[1].share.next()), (&component(200), &component(110)));
    assert!(both.iter().all(|template| template.checked));
    store.keep_old_template(&first, &template(100)).unwrap();
    let old = read(&[first]);
    assert!(!old[0].checked && *old[0].share.own() == component(100), "of a session that nobody knows of");
    store.keep_template(&first, &template(100), &[]).unwrap();

    // One record in the place of another does not match its name.
    let [of_first, of_second] = [first, second].map(|key| sealed(&store, Record::Template(key)));
    put_unsealed(&store, Record::Template(first), of_second);
    assert!(matches!(store.read_templates(&[first]).unwrap()[0], Err(StoreError::Damaged(_))));
    assert!(store.read_templates(&[second]).unwrap()[0].is_ok());
    put_unsealed(&store, Record::Template(first), of_first);

    let backup = dir.path().join("backup");
    store.backup(&backup).unwrap();
    store.set_catalog(&served(ID), &[], &[first]).unwrap();
    assert_eq!(store.template_keys().unwrap(), [second]);
    assert!(!store.has_template(&first).unwrap() && store.has_template(&second).unwrap());
    drop(store);
    restore(&backup, dir.path(), &key).unwrap();
    assert_eq!(Store::open(dir.path(), &key).unwrap().template_keys().unwrap(), [first, second]);
}

#[test]
fn a_record_that_changed_meanwhile_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreKey::fresh().unwrap()).unwrap();
    let write = |only_if, value: &[u8]| {
        let put = vec![(Record::Prepared, value.to_vec())];
        store.backend.write(&Batch { only_if: Some((Record::Prepared, only_if)), put, ..Batch::default() }).unwrap()
    };
    assert!(!write(Some(vec![1]), &[2]), "there is none yet");
    assert!(write(None, &[1]));
    assert!(!write(None, &[3]), "there is one");
    assert!(write(Some(vec![1]), &[2]));
    assert_eq!(sealed(&store, Record::Prepared), [2]);
}
