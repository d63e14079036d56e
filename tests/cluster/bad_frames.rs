//! Bytes that are not Kafka's protocol, or hardly: the broker answers or closes, and nobody else notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ottla::model::ErrorCode;
use ottla::protocol::{ApiVersionsRequest, MetadataRequest};

use super::harness::PATIENCE;
use super::probe::{Broker, Raw, batch, flexible_header, header, payload, produce, produce_request, unique};

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
/// What a handful of small mistakes may cost; allocator and thread stacks move by about this much on their own.
const LITTLE_KIB: u64 = 4 * 1024;

#[test]
fn lengths_out_of_range_close_the_connection() {
    let broker = Broker::start();
    broker.undisturbed_by(LITTLE_KIB, || {
        for length in [-1, i32::MIN, i32::MAX, 0x0640_0001, 0, 1, 3, 7] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.extend([0; 7]);
            broker.raw().send(&bytes).expect_close();
        }
    });
}

#[test]
fn other_protocols_are_turned_away_and_named_in_the_log() {
    let broker = Broker::start();
    broker.undisturbed_by(LITTLE_KIB, || {
        broker.raw().send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect_close();
        broker.raw().send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").expect_close();
    });
    if broker.data().is_some() {
        let log = broker.log();
        assert!(log.contains("speaks HTTP"), "{log}");
        assert!(log.contains("speaks TLS"), "{log}");
    }
}

#[test]
fn unfinished_frames_cost_only_the_bytes_that_came() {
    let broker = Broker::start();
    broker.undisturbed_by(2 * LITTLE_KIB, || {
        let mut claims = 90_000_000_i32.to_be_bytes().to_vec();
        claims.extend(header(PRODUCE, 8, 1));
        let mut silent: Vec<Raw> = (0..20).map(|_| broker.raw()).collect();
        for connection in &mut silent {
            connection.send(&claims);
        }
        // One leaves in order, one with a reset, the others say nothing more.
        broker.raw().send(&claims).finish().expect_close();
        let mut resetting = broker.raw();
        resetting.send(&claims);
        let socket = socket_of(&resetting);
        socket.set_linger(Some(Duration::ZERO)).expect("an option");
        drop((resetting, socket));
    });
}

fn socket_of(connection: &Raw) -> socket2::Socket {
    socket2::Socket::from(connection.stream.try_clone().expect("cloned"))
}

#[test]
fn huge_claims_do_not_keep_others_from_producing() {
    // Kafka allocates what is claimed and dies of this.
    let Some(broker) = Broker::start_with(&[]) else { return };
    let topic = unique("bulk");
    broker.connect().create_topic(&topic);
    let mut claims = 100_000_000_i32.to_be_bytes().to_vec();
    claims.extend(header(PRODUCE, 8, 1));
    let mut hoarders: Vec<Raw> = (0..200).map(|_| broker.raw()).collect();
    for connection in &mut hoarders {
        connection.send(&claims);
    }
    let answer = produce(&mut broker.connect(), &topic, batch(&[&[7; 500_000]]));
    assert_eq!(answer.error_code, ErrorCode::None);
}

#[test]
fn silence_ends_with_the_idle_limit() {
    let Some(broker) = Broker::start_with(&[("connections.max.idle.ms", "500")]) else { return };
    broker.raw().expect_close();
    broker.raw().send(&[0, 0]).expect_close();
    broker.raw().send(&1000_i32.to_be_bytes()).send(&header(METADATA, 4, 1)).expect_close();
}

#[test]
fn unknown_apis_and_versions_close_the_connection() {
    let broker = Broker::start();
    broker.undisturbed_by(LITTLE_KIB, || {
        for (api_key, version) in
            [(999, 0), (-1, 0), (PRODUCE, 99), (PRODUCE, -1), (METADATA, 99), (METADATA, i16::MIN)]
        {
            let mut request = header(api_key, version, 1);
            request.extend([0; 32]);
            broker.raw().send_frame(&request).expect_close();
        }
    });
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let broker = Broker::start();
    for version in [5, 99, i16::MAX] {
        let mut connection = broker.raw();
        let mut request = flexible_header(API_VERSIONS, version, 7);
        request.extend([0; 16]);
        let answer = connection.send_frame(&request).expect_answer(7);
        // Error code, one entry of three numbers, and nothing else: not even a throttle time.
        assert_eq!(answer.len(), 4 + 2 + 4 + 6, "{answer:02x?}");
        let range =
            [35_i16.to_be_bytes(), [0, 0], 1_i16.to_be_bytes(), 18_i16.to_be_bytes(), [0, 0], 4_i16.to_be_bytes()];
        assert_eq!(answer[4..], range.concat());
        // The connection stays open, and the client asks again in a version that is served.
        let again = connection.send_frame(&payload(4, &software("client", "1.0"))).expect_answer(1);
        assert_eq!(again[4..6], [0, 0]);
    }
}

fn software(name: &str, version: &str) -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: name.to_owned(), client_software_version: version.to_owned() }
}

#[test]
fn api_versions_refuses_names_of_software_that_are_none() {
    let broker = Broker::start();
    let long = "x".repeat(30_000);
    for (name, version, refused) in [
        ("", "1.0", true),
        ("client", "", true),
        ("-client", "1.0", true),
        ("cli ent", "1.0", true),
        ("client\0", "1.0", true),
        ("клиент", "1.0", true),
        ("client", "1.0!", true),
        ("client.of-mine", "1.0-rc.1", false),
        (&long, "1.0", false),
    ] {
        let response = broker.connect().send(3, &software(name, version));
        assert_eq!(response.error_code == ErrorCode::InvalidRequest, refused, "{name:.20?} {version:?}");
    }
}

#[test]
fn client_ids_of_any_length_are_taken_and_impossible_ones_close() {
    let broker = Broker::start();
    let with_client_id = |length: i16, bytes: &[u8]| {
        let mut request = header(METADATA, 4, 3)[..8].to_vec();
        request.extend(length.to_be_bytes());
        request.extend(bytes);
        // No topics, no auto-creation.
        request.extend([0, 0, 0, 0, 0]);
        request
    };
    broker.undisturbed_by(LITTLE_KIB, || {
        broker.raw().send_frame(&with_client_id(-1, b"")).expect_answer(3);
        broker.raw().send_frame(&with_client_id(i16::MAX, &[b'c'; 32767])).expect_answer(3);
        if broker.data().is_some() {
            // Kafka takes every negative length for null.
            broker.raw().send_frame(&with_client_id(-2, b"")).expect_close();
        }
        broker.raw().send_frame(&with_client_id(30_000, b"short")).expect_close();
    });
}

#[test]
fn claimed_counts_beyond_the_frame_close_the_connection() {
    // Kafka takes every negative count for null.
    let Some(broker) = Broker::start_with(&[]) else { return };
    broker.undisturbed_by(LITTLE_KIB, || {
        for count in [-2, i32::MIN, i32::MAX, 1_000_000] {
            // The topics of Metadata.
            let mut request = header(METADATA, 4, 1);
            request.extend(count.to_be_bytes());
            request.push(0);
            broker.raw().send_frame(&request).expect_close();
            // The partitions of a topic of Produce.
            let mut request = header(PRODUCE, 8, 1);
            request.extend([0xff, 0xff, 0, 1, 0, 0, 0x75, 0x30, 0, 0, 0, 1, 0, 1, b't']);
            request.extend(count.to_be_bytes());
            broker.raw().send_frame(&request).expect_close();
        }
        // Compact counts: longer than the frame, and longer than any number.
        for count in
            [&b"\xff\xff\xff\xff\x0f"[..], b"\xff\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"]
        {
            let mut request = flexible_header(METADATA, 12, 1);
            request.extend(count);
            broker.raw().send_frame(&request).expect_close();
        }
    });
}

/// A Metadata request of a flexible version with these bytes as its tagged fields.
fn with_tagged_fields(fields: &[u8]) -> Vec<u8> {
    let mut request = flexible_header(METADATA, 12, 5);
    // No topics, no auto-creation, no authorized operations.
    request.extend([1, 0, 0]);
    request.extend(fields);
    request
}

#[test]
fn tagged_fields_are_skipped_when_unknown_and_refused_when_malformed() {
    let broker = Broker::start();
    broker.undisturbed_by(4 * LITTLE_KIB, || {
        broker.raw().send_frame(&with_tagged_fields(&[1, 99, 3, 1, 2, 3])).expect_answer(5);
        let mut many = vec![0x80 | (100_000_u32 & 0x7f) as u8, 0x80 | (100_000_u32 >> 7 & 0x7f) as u8, 6];
        for tag in 1_000_u32..101_000 {
            many.extend(varint(tag));
            many.push(0);
        }
        broker.raw().send_frame(&with_tagged_fields(&many)).expect_answer(5);
        // A size beyond the frame, and tags that do not rise.
        broker.raw().send_frame(&with_tagged_fields(&[1, 99, 200, 1])).expect_close();
        if broker.data().is_some() {
            // Kafka does not look at the order.
            broker.raw().send_frame(&with_tagged_fields(&[2, 99, 0, 98, 0])).expect_close();
            broker.raw().send_frame(&with_tagged_fields(&[2, 99, 0, 99, 0])).expect_close();
        }
    });
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[test]
fn bytes_after_the_body_do_no_harm() {
    let broker = Broker::start();
    broker.undisturbed_by(LITTLE_KIB, || {
        let mut request = payload(4, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() });
        request.extend(b"and then some");
        // Either is right: Kafka does not look at what follows.
        let _ = broker.raw().send_frame(&request).answer();
    });
}

#[test]
fn a_client_that_does_not_read_is_no_longer_read_from() {
    const REQUESTS: usize = 100_000;
    let broker = Broker::start();
    // About a kilobyte each, so that the kernel's buffers hold only a part of them.
    let mut request = header(API_VERSIONS, 0, 1)[..8].to_vec();
    request.extend(1000_i16.to_be_bytes());
    request.extend([b'c'; 1000]);
    let answer_bytes = 4 + broker.raw().send_frame(&request).expect_answer(1).len();
    let mut frame = (request.len() as i32).to_be_bytes().to_vec();
    frame.extend(request);
    let requests = frame.repeat(REQUESTS);
    broker.undisturbed_by(16 * 1024, || {
        let mut connection = broker.raw();
        let mut reader = connection.stream.try_clone().expect("cloned");
        connection.stream.set_nonblocking(true).expect("an option");
        let sent = send_until_refused(&mut connection.stream, &requests);
        assert!(sent < requests.len(), "the broker takes requests without end");
        // Now read everything, and send the rest meanwhile.
        connection.stream.set_nonblocking(false).expect("an option");
        let mut answer = vec![0; answer_bytes];
        std::thread::scope(|scope| {
            scope.spawn(|| connection.stream.write_all(&requests[sent..]).expect("all sent"));
            for number in 0..REQUESTS {
                reader.read_exact(&mut answer).unwrap_or_else(|error| panic!("answer {number}: {error}"));
                assert_eq!(answer[..8], [(answer_bytes as i32 - 4).to_be_bytes(), 1_i32.to_be_bytes()].concat());
            }
        });
    });
}

/// How many bytes the other side takes before it stops reading for a while.
fn send_until_refused(stream: &mut TcpStream, bytes: &[u8]) -> usize {
    let (mut sent, mut refused_since) = (0, None);
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => (sent, refused_since) = (sent + count, None),
            Err(_) => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() > Duration::from_secs(1) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    sent
}

#[test]
fn many_idle_and_trickling_connections_cost_little() {
    let broker = Broker::start();
    const CONNECTIONS: usize = 1_000;
    // Buffers of the sockets belong to the kernel; ours are for the connection's state alone.
    broker.undisturbed_by(CONNECTIONS as u64 * 24, || {
        let mut connections: Vec<Raw> = (0..CONNECTIONS).map(|_| broker.raw()).collect();
        let request = payload(4, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() });
        let mut frame = (request.len() as i32).to_be_bytes().to_vec();
        frame.extend(request);
        for byte in &frame[..frame.len() - 1] {
            for connection in connections.iter_mut().step_by(10) {
                connection.send(&[*byte]);
            }
        }
        for connection in connections.iter_mut().step_by(10) {
            connection.send(&frame[frame.len() - 1..]).expect_answer(1);
        }
    });
}

#[test]
fn connections_come_and_go_quickly() {
    let broker = Broker::start();
    broker.undisturbed_by(8 * 1024, || {
        for _ in 0..2_000 {
            drop(broker.raw());
        }
    });
}

#[test]
fn connections_never_take_the_file_descriptors_of_the_logs() {
    let Some(broker) = Broker::start_with(&[("log.flush.interval.messages", "1")]) else { return };
    let topic = unique("descriptors");
    let mut before = broker.connect();
    before.create_topic(&topic);
    before.produce(&topic, b"one");
    broker.limit_descriptors(256);
    let mut crowd: Vec<Raw> = (0..300).map(|_| broker.raw()).collect();
    crowd.iter_mut().last().expect("one").expect_close();
    // Those that got in are served as before, and files are opened as before.
    assert_eq!(before.produce(&topic, b"two"), 1);
    before.create_topic(&unique("new-files"));
    drop(crowd);
    // When the crowd has left, there is room for newcomers.
    let asked = payload(0, &ApiVersionsRequest::default());
    let deadline = Instant::now() + PATIENCE;
    while broker.raw().send_frame(&asked).answer().is_none() {
        assert!(Instant::now() < deadline, "nobody is let in any more");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_produce_without_acks_that_fails_closes_the_connection() {
    let broker = Broker::start();
    let topic = unique("no-acks");
    broker.connect().create_topic(&topic);
    let mut spoilt = batch(&[b"value"]);
    spoilt[17] ^= 1;
    broker.raw().send_frame(&payload(8, &produce_request(&topic, 0, spoilt))).expect_close();
}
