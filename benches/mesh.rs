//! One message over the mesh: pushed, rung for, taken; alone and in batches of 32.

use criterion::{Criterion, criterion_group, criterion_main};
use shards::mesh::{Doorbell, Inbox, Mailbox};
use shards::{Buf, Sender};
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::sync::Arc;

fn inbox() -> Inbox<Buf> {
    // Nobody sleeps in this bench, so the bell's descriptor is never written to.
    let (descriptor, _other) = std::os::unix::net::UnixStream::pair().expect("a socket pair");
    let bell = Doorbell::new(OwnedFd::from(descriptor));
    Inbox::new(4096, Arc::new(Mailbox::new(64, bell)))
}

fn mesh(criterion: &mut Criterion) {
    let inbox = inbox();
    let message = [b'x'; 480];
    criterion.bench_function("mesh_one", |bench| {
        bench.iter(|| {
            let _ = inbox.push(Sender::Shard(0), Buf::copy_of(black_box(&message)));
            black_box(inbox.ring());
            black_box(inbox.pop())
        });
    });
    criterion.bench_function("mesh_batch_of_32", |bench| {
        bench.iter(|| {
            for _ in 0..32 {
                let _ = inbox.push(Sender::Shard(0), Buf::copy_of(black_box(&message)));
            }
            black_box(inbox.ring());
            while let Some(message) = inbox.pop() {
                black_box(message);
            }
        });
    });
}

criterion_group!(benches, mesh);
criterion_main!(benches);
