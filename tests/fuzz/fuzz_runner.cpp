// Fuzz target: any bytes as what the device program reads from others: a bundle whose signature is looked for, a canary
// file, requests to the server. Nothing crashes, a refused request changes nothing, every reply says how long it is.
// Never here: sockets (tests/deploy/test_serve.py), the library's own checks (fuzz_bundle.cpp).
#include <unistd.h>

#include "tests/fuzz/fuzz_session.h"
#include "tests/runtime/core_nets.h"

extern "C" {
#include "runtime/runner/canary.h"
#include "runtime/runner/server.h"
#include "runtime/runner/signature.h"
}

namespace {

using namespace edgecl_fuzz;

// A bundle in a file, and a server of it that keeps nothing.
struct Place {
  std::vector<uint8_t> bundle;
  Server server = {};
  edgecl_session* session() { return server.now->session; }

  Place() {
    edgecl_test::NetBuilder net(7);
    uint32_t x = net.input(6, 1, 1);
    net.source.input_dims = {6};
    x = net.linear(x, 8);
    net.finish(net.linear(x, 4), x);
    net.source.classes.clear();
    std::string error;
    const std::vector<uint8_t> bare = edgecl::write_bundle(net.source, &error);
    const uint8_t signature[64] = {1};
    bundle = edgecl::attach_signature(bare, signature, nullptr, &error, 7);
    char path[] = "/tmp/fuzz_runner_XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0 && write(file, bundle.data(), bundle.size()) == static_cast<ssize_t>(bundle.size()));
    close(file);
    server.options.bundle = path;
    server.options.choice.n_threads = 1;
    Reason reason;
    REQUIRE(server_begin(&server, &reason) == 0, "%s", reason.text);
    unlink(path);
  }
};

Place& place() {
  static Place* const one = new Place;
  return *one;
}

void look_for_signature(const uint8_t* bytes, size_t n) {
  const uint8_t key[SIGNATURE_KEY_BYTES] = {9};
  uint64_t release = 0;
  // Bytes of its own, so that a look beyond the end is noticed.
  std::vector<uint8_t> copy(bytes, bytes + n);
  (void)signature_check(copy.data(), copy.size(), nullptr, &release);
  REQUIRE(signature_check(copy.data(), copy.size(), key, &release) != nullptr, "a key that signed nothing");
}

void read_canary(Input* in) {
  const CheckedBundle& bundle = place().server.now->bundle;
  std::vector<uint8_t> file;
  const uint8_t kind = in->u8();
  if (kind % 2 == 0) {  // a good header, which the rest changes
    file.assign(64, 0);
    memcpy(file.data(), "ECC1", 4);
    file[4] = static_cast<uint8_t>(1 + in->below(3));
    file[12] = 4;
    file[16] = 6;
    file[24] = static_cast<uint8_t>(in->below(2));
    memcpy(file.data() + 32, bundle.info.digest, 32);
    file.resize(64 + file[4] * (6 * 4 + 4 * 4 + 4 * file[24]));
    if (kind % 4 == 0) file[in->below(32)] = in->u8();
    for (size_t i = 64; i < file.size(); i++) file[i] = in->u8();
  }
  while (in->left() > 0) file.push_back(in->u8());
  Canary canary;
  if (canary_parse(file.data(), file.size(), &bundle, kind % 3, &canary) != nullptr) return;
  Reason reason;
  (void)canary_compare(place().session(), &canary, &reason);
  const int64_t correct = canary_count_correct(place().session(), &canary);
  REQUIRE(correct >= -1 && correct <= canary.rows);
}

Digest state_digest() {
  Digest digest = {};
  REQUIRE(edgecl_state_digest(place().session(), digest.data()) == EDGECL_OK);
  return digest;
}

// Messages one behind the other, as a client may send them; the clients' part of the server is done here.
void ask_server(Input* in) {
  Server* const server = &place().server;
  for (int i = 0; i < 8 && in->left() > 0; i++) {
    MessageHeader header = {};
    header.operation = static_cast<uint8_t>(in->below(12));
    header.rows = static_cast<uint16_t>(in->below(8) == 0 ? in->u16() : in->below(5));
    if (header.operation == kServeReload) continue;  // starts a thread
    const size_t row = 24 + (header.operation == kServeLearn ? 4 : 0);
    header.bytes = in->below(8) == 0 ? in->below(3000) : static_cast<uint32_t>(header.rows * row);
    if (header.bytes > server_body_bytes(server, header.operation)) continue;
    std::vector<uint8_t> body(header.bytes);
    for (uint8_t& byte : body) byte = in->u8();
    const Digest before = state_digest();
    const Reply reply = server_answer(server, header, body.data());
    REQUIRE(reply.bytes != nullptr && reply.n_bytes >= kMessageHeaderBytes && reply.later == 0);
    const MessageHeader answer = get_header(reply.bytes);
    REQUIRE(answer.bytes == reply.n_bytes - kMessageHeaderBytes && answer.operation == header.operation);
    const bool learned = header.operation == kServeLearn && answer.status == 0;
    REQUIRE(learned || before == state_digest(), "a request that learned nothing changed the state");
    server->stopping = 0;
    free(reply.bytes);
  }
  REQUIRE(edgecl_session_reset(place().session()) == EDGECL_OK);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input in(data, size);
  switch (in.u8() % 4) {
    case 0:
      look_for_signature(data, size);
      break;
    case 1: {  // the bundle with some bytes that are others
      std::vector<uint8_t> bytes = place().bundle;
      while (in.left() > 0) bytes[in.u16() % bytes.size()] = in.u8();
      look_for_signature(bytes.data(), bytes.size());
      break;
    }
    case 2:
      read_canary(&in);
      break;
    default:
      ask_server(&in);
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  return LLVMFuzzerMutate(data, size, max_size);
}
