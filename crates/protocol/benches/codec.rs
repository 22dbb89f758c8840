//! Measures the speed of the codec. Run with `cargo bench -p oxws-protocol`.

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use oxws_protocol::deflate::{ContextPool, DeflateOptions, Deflater, InflateOptions, Inflater};
use oxws_protocol::frame::{FrameHead, Opcode, MAX_HEAD_LEN};
use oxws_protocol::{mask, Decoder, DecoderOptions, Encoder, MessageKind, MessageOptions};

const KEY: [u8; 4] = [0x12, 0x34, 0x56, 0x78];

const MASKED: MessageOptions = MessageOptions {
    fin: true,
    compress: true,
    mask: Some(KEY),
};

/// JSON, which is typical of WebSocket traffic.
fn json(len: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut id = 0u32;
    while text.len() < len {
        id = id.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += &format!("{{\"id\":{id},\"name\":\"user {}\",\"on\":true}},", id % 97);
    }
    text.truncate(len);
    text.into_bytes()
}

fn masking(c: &mut Criterion) {
    let mut group = c.benchmark_group("64 KiB");
    let mut data = json(64 * 1024);
    let mut target = data.clone();
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("memcpy", |b| {
        b.iter(|| black_box(&mut target).copy_from_slice(black_box(&data)));
    });
    group.bench_function("mask in place", |b| {
        b.iter(|| mask::apply(black_box(&mut data), black_box(KEY), black_box(0)));
    });
    group.finish();
}

fn heads(c: &mut Criterion) {
    let head = FrameHead {
        fin: true,
        rsv1: false,
        opcode: Opcode::Text,
        len: 64,
        mask: None,
    };
    c.bench_function("write a frame head", |b| {
        let mut out = [0; MAX_HEAD_LEN];
        b.iter(|| black_box(&head).write(black_box(&mut out)));
    });
}

fn decoding(c: &mut Criterion) {
    for (name, len) in [("64 B", 64), ("1 KiB", 1024), ("64 KiB", 64 * 1024)] {
        let mut group = c.benchmark_group(format!("masked text frame of {name}"));
        group.throughput(Throughput::Bytes(len as u64));
        let data = json(len);
        let mut frame = Vec::new();
        Encoder::new(None, 0).message(MessageKind::Text, &data, MASKED, &mut frame);
        group.bench_function("decode", |b| {
            let mut decoder = Decoder::new(DecoderOptions::default(), None);
            let mut input = frame.clone();
            let head = frame.len() - len;
            b.iter(|| {
                // Decoding unmasks the payload in place. Masking it again restores the
                // input for the next iteration.
                let event = decoder.next(black_box(&mut input), &mut 0).unwrap();
                mask::apply(&mut input[head..], KEY, 0);
                event
            });
        });
        group.bench_function("restore the input (part of decode)", |b| {
            let mut input = data.clone();
            b.iter(|| mask::apply(black_box(&mut input), KEY, 0));
        });
        group.bench_function("encode", |b| {
            let mut encoder = Encoder::new(None, 0);
            let mut out = Vec::with_capacity(len + MAX_HEAD_LEN);
            b.iter(|| {
                out.clear();
                encoder.message(MessageKind::Text, black_box(&data), MASKED, &mut out);
            });
        });
        group.finish();
    }
}

fn compression(c: &mut Criterion) {
    for (name, len) in [("1 KiB", 1024), ("64 KiB", 64 * 1024)] {
        for (mode, no_context_takeover) in [("takeover", false), ("no takeover", true)] {
            let mut group = c.benchmark_group(format!("{name} of JSON, {mode}"));
            group.throughput(Throughput::Bytes(len as u64));
            let data = json(len);
            let pool = ContextPool::default();
            let options = DeflateOptions {
                no_context_takeover,
                ..DeflateOptions::default()
            };
            let mut deflater = Deflater::new(options, pool.clone());
            let mut compressed = Vec::new();
            deflater.compress(&data, true, &mut compressed);
            let first = compressed.clone();
            group.bench_function("deflate", |b| {
                b.iter(|| {
                    compressed.clear();
                    deflater.compress(black_box(&data), true, &mut compressed);
                });
            });
            let options = InflateOptions {
                no_context_takeover,
                ..InflateOptions::default()
            };
            let mut inflater = Inflater::new(options, pool);
            group.bench_function("inflate", |b| {
                b.iter_batched_ref(
                    || Vec::with_capacity(2 * len),
                    |out| {
                        inflater
                            .decompress(black_box(&first), out, usize::MAX)
                            .unwrap();
                        inflater.finish(out, usize::MAX).unwrap();
                    },
                    BatchSize::SmallInput,
                );
            });
            group.finish();
        }
    }
}

criterion_group!(benches, masking, heads, decoding, compression);
criterion_main!(benches);
