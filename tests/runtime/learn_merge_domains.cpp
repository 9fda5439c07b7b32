// Merging sessions with domains: over random histories the result is one session that learned the union, bit for bit;
// adaptors; room; states; unlearning in the wrong domain.
// Never here: merging without domains (learn_merge.cpp).
#include <algorithm>
#include <array>

#include "tests/runtime/merge_fixture.h"

namespace {

using namespace edgecl_test;

const char* const kDomainNames[] = {"base", "night", "fog", "hall"};
constexpr uint32_t kDomainCount = 4, kDevices = 3;
const uint32_t kDomainHeads[] = {EDGECL_HEAD_NCM_DISTANCE, EDGECL_HEAD_RIDGE, EDGECL_HEAD_HD, EDGECL_HEAD_FECAM};

edgecl_session_config config_of(const Model& model, uint32_t head, uint32_t domains = kDomainCount) {
  edgecl_session_config config = merging(model, head, kDevices, 0);
  config.max_domains = domains;
  return config;
}

edgecl_domain_info info_of(const Session& session, int32_t domain) {
  edgecl_domain_info info = {};
  info.struct_size = sizeof info;
  if (edgecl_domain_describe(session.session, domain, &info) != EDGECL_OK) info.name[0] = 0;
  return info;
}

int32_t domain_of(const Session& session, const std::string& name) {
  for (uint32_t d = 0; d < session.config().max_domains; d++) {
    if (info_of(session, static_cast<int32_t>(d)).name == name) return static_cast<int32_t>(d);
  }
  return -1;
}

void select(Session* session, const char* name) {
  int32_t domain = domain_of(*session, name);
  if (domain < 0) CHECK(edgecl_domain_add(session->session, name, &domain) == EDGECL_OK);
  CHECK(edgecl_domain_select(session->session, domain) == EDGECL_OK);
}

void by_fit(Session* session) {
  CHECK(edgecl_domain_select(session->session, EDGECL_DOMAIN_BY_FIT) == EDGECL_OK);
}

// Where each row goes by the domain's name, how well it fits, and its scores by names of classes.
struct Said {
  Said(Session* session, const NamedRows& rows) {
    by_fit(session);
    std::vector<edgecl_route_result> found(rows.size());
    const edgecl_batch batch = session->batch(rows.samples.data(), rows.size());
    status = edgecl_route(session->session, &batch, found.data(), sizeof found[0]);
    if (status != EDGECL_OK) return;
    for (const edgecl_route_result& route : found) {
      domains.push_back(info_of(*session, route.domain).name);
      fits.push_back(route.fit);
    }
    of_class = scores(session, rows);
  }
  bool operator==(const Said& other) const {
    return status == other.status && domains == other.domains && fits == other.fits && of_class == other.of_class;
  }
  edgecl_status status;
  std::vector<std::string> domains;
  std::vector<float> fits;
  std::map<std::string, std::vector<float>> of_class;
};

struct Device {
  std::unique_ptr<Session> session;
  uint64_t number = 0;
  std::array<std::vector<uint32_t>, kDomainCount> inside;  // rows of each domain, in order
};

struct Fleet {
  Fleet(const Model& model, const NamedRows& rows, uint32_t head, edgecl::RandomStream* random)
      : model(model), rows(rows), random(*random), config(config_of(model, head)), devices(2 + random->bounded(2)) {
    for (Device& device : devices) {
      device.number = 1 + static_cast<uint64_t>(&device - devices.data()) * 0x100000001ull;
      device.session = std::make_unique<Session>(model, config);
      CHECK(edgecl_device_set(device.session->session, device.number, 0) == EDGECL_OK);
    }
  }

  void event(Device* device) {
    Session* const session = device->session.get();
    const uint32_t d = random.bounded(kDomainCount);
    std::vector<uint32_t>* const inside = &device->inside[d];
    switch (random.bounded(14)) {
      case 0: {  // the power goes
        const Bytes state = session->state();
        device->session = std::make_unique<Session>(model, config);
        CHECK_MESSAGE(import(device->session.get(), state) == EDGECL_OK, "%s",
                      edgecl_session_error(device->session->session));
        CHECK(device->session->state() == state);
        break;
      }
      case 1:
        if (d == 0 || domain_of(*session, kDomainNames[d]) < 0) break;
        {
          const int32_t domain = domain_of(*session, kDomainNames[d]);
          const bool others = info_of(*session, domain).rows_merged > 0;
          const edgecl_status status = edgecl_domain_remove(session->session, domain);
          CHECK(status == (others ? EDGECL_E_UNSUPPORTED : EDGECL_OK));
          if (status == EDGECL_OK) inside->clear();
        }
        break;
      case 2:
        if (random.bounded(8) != 0) break;
        CHECK(edgecl_session_reset(session->session) == EDGECL_OK);
        for (std::vector<uint32_t>& of : device->inside) of.clear();
        break;
      case 3:
        Said(session, rows);
        break;
      case 4:
      case 5:
        sent.push_back(message_of(*session, random.bounded(2)));
        break;
      case 6:
      case 7:
        if (sent.empty()) break;
        CHECK_MESSAGE(merge(session, sent[random.bounded(static_cast<uint32_t>(sent.size()))]) == EDGECL_OK, "%s",
                      edgecl_session_error(session->session));
        break;
      case 8:
        if (inside->empty()) break;
        {
          select(session, kDomainNames[d]);
          const uint32_t row = (*inside)[random.bounded(static_cast<uint32_t>(inside->size()))];
          CHECK_MESSAGE(unlearn_row(session, rows, row) == EDGECL_OK, "%s", edgecl_session_error(session->session));
          inside->erase(std::find(inside->begin(), inside->end(), row));
        }
        break;
      default:
        select(session, kDomainNames[d]);
        for (uint32_t i = random.bounded(24); i > 0; i--) {
          inside->push_back(random.bounded(rows.size()));
          CHECK(learn_row(session, rows, inside->back()) == EDGECL_OK);
        }
    }
  }

  void exchange() {
    std::vector<Bytes> newest;
    for (const Device& device : devices) newest.push_back(message_of(*device.session));
    for (Device& device : devices) {
      std::vector<Bytes> come = newest;
      come.insert(come.end(), sent.begin(), sent.end());
      come.insert(come.end(), newest.begin(), newest.end());
      for (size_t i = come.size(); i > 1; i--) std::swap(come[i - 1], come[random.bounded(static_cast<uint32_t>(i))]);
      for (const Bytes& message : come) CHECK(merge(device.session.get(), message) == EDGECL_OK);
    }
  }

  const Model& model;
  const NamedRows& rows;
  edgecl::RandomStream& random;
  edgecl_session_config config;
  std::vector<Device> devices;
  std::vector<Bytes> sent;
};

// Labels mean the same in all sessions.
void add_classes(Session* session) {
  for (const char* name : kClassNames) label_of(*session, name, true);
}

// The adaptor of domain "night" is that of `trainer`, which learned rows of its own.
void adapt(Session* session, const Session& trainer, const char* name = "night") {
  add_classes(session);
  int32_t domain = domain_of(*session, name);
  uint32_t learned = 0;
  if (domain < 0) CHECK(edgecl_domain_add(session->session, name, &domain) == EDGECL_OK);
  CHECK_MESSAGE(edgecl_domain_adapt(session->session, domain, trainer.session, &learned) == EDGECL_OK && learned > 0,
                "%s", edgecl_session_error(session->session));
}

std::unique_ptr<Session> trainer_of(const Model& model, const NamedRows& rows, uint32_t first) {
  auto trainer = std::make_unique<Session>(model, model.config());
  add_classes(trainer.get());
  for (uint32_t row = first; row < first + 8; row++) CHECK(learn_row(trainer.get(), rows, row) == EDGECL_OK);
  return trainer;
}

void refused(Session* session, const Bytes& message, edgecl_status expected, const char* saying) {
  const std::string before = session->digest();
  const edgecl_status status = merge(session, message);
  CHECK_MESSAGE(status == expected && strstr(edgecl_session_error(session->session), saying) != nullptr, "%s: %s",
                edgecl_status_name(status), edgecl_session_error(session->session));
  CHECK(session->digest() == before);
}

}  // namespace

TEST(devices_with_domains_are_one_that_learned_everything) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  edgecl::RandomStream random = {34, 1, 0};
  uint32_t n_routed = 0;
  for (uint32_t history = 0; history < 600 / kSweepStep; history++) {
    Fleet fleet(model, rows, kDomainHeads[history % 4], &random);
    for (uint32_t event = random.bounded(50); event > 0; event--)
      fleet.event(&fleet.devices[random.bounded(static_cast<uint32_t>(fleet.devices.size()))]);
    fleet.exchange();
    for (Device& device : fleet.devices) {
      Session one(model, fleet.config);
      for (int32_t label = 0; label < static_cast<int32_t>(kColumns); label++) {
        if (class_of(*device.session, label).present == 0) continue;
        int32_t added;
        CHECK(edgecl_class_add(one.session, class_of(*device.session, label).name, &added) == EDGECL_OK);
      }
      for (int32_t d = 1; d < static_cast<int32_t>(kDomainCount); d++) {
        const edgecl_domain_info info = info_of(*device.session, d);
        if (info.name[0] != 0) select(&one, info.name);
      }
      for (const Device& of : fleet.devices) {
        for (uint32_t d = 0; d < kDomainCount; d++) {
          if (!of.inside[d].empty()) select(&one, kDomainNames[d]);
          for (const uint32_t row : of.inside[d]) CHECK(learn_row(&one, rows, row) == EDGECL_OK);
        }
      }
      const Said merged(device.session.get(), rows), alone(&one, rows);
      CHECK_MESSAGE(merged == alone, "history %u, device %llu", history,
                    static_cast<unsigned long long>(device.number));
      n_routed += merged.status == EDGECL_OK;
      for (uint32_t d = 0; d < kDomainCount; d++) {
        const int32_t here = domain_of(*device.session, kDomainNames[d]), there = domain_of(one, kDomainNames[d]);
        if (here < 0 && there < 0) continue;
        CHECK(here >= 0 && there >= 0);
        const edgecl_domain_info info = info_of(*device.session, here), whole = info_of(one, there);
        CHECK(info.rows == device.inside[d].size() && info.rows + info.rows_merged == whole.rows);
        CHECK(info.held == whole.held);
      }
    }
  }
  CHECK_MESSAGE(n_routed > 800 / kSweepStep, "%u", n_routed);
}

TEST(domains_come_and_go_with_their_devices) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  for (const uint32_t head : kDomainHeads) {
    Session a(model, config_of(model, head)), b(model, config_of(model, head));
    CHECK(edgecl_device_set(a.session, 1, 0) == EDGECL_OK && edgecl_device_set(b.session, 2, 0) == EDGECL_OK);
    for (uint32_t row = 0; row < 20; row++) CHECK(learn_row(&a, rows, row) == EDGECL_OK);
    const std::string alone = a.digest();
    select(&b, "night");
    for (uint32_t row = 20; row < 40; row++) CHECK(learn_row(&b, rows, row) == EDGECL_OK);
    edgecl_merge_report report = fresh_report();
    CHECK_MESSAGE(merge(&a, message_of(b), &report) == EDGECL_OK, "%s", edgecl_session_error(a.session));
    CHECK(report.n_new == 1 && report.n_domains_added == 1 && report.rows_before == 20 && report.rows == 40);
    CHECK(device_of(a, 0).rows == 20 && device_of(a, 1).rows == 20);
    const int32_t night = domain_of(a, "night");
    CHECK(info_of(a, night).rows == 0 && info_of(a, night).rows_merged == 20);
    CHECK(edgecl_domain_remove(a.session, night) == EDGECL_E_UNSUPPORTED);
    CHECK(strstr(edgecl_session_error(a.session), "edgecl_unmerge") != nullptr);
    // Rows of others are not to be taken back here.
    select(&a, "night");
    const std::string merged = a.digest();
    CHECK(unlearn_row(&a, rows, 20) == EDGECL_E_NOT_FOUND && a.digest() == merged);
    CHECK(import(&a, a.state()) == EDGECL_OK && a.digest() == merged);
    // It goes with the last rows, by a newer message or by unmerge; the one that is selected, too.
    Session copy(model, config_of(model, head));
    CHECK(import(&copy, a.state()) == EDGECL_OK);
    CHECK(edgecl_domain_remove(b.session, domain_of(b, "night")) == EDGECL_OK);
    CHECK(merge(&a, message_of(b), &report) == EDGECL_OK && report.n_newer == 1 && report.n_domains_gone == 1);
    CHECK(domain_of(a, "night") < 0 && info_of(a, 0).selected == 1 && report.rows == 20);
    CHECK(edgecl_unmerge(copy.session, 2) == EDGECL_OK && domain_of(copy, "night") < 0);
    CHECK(edgecl_unmerge(a.session, 2) == EDGECL_OK);
    by_fit(&a);
    CHECK(a.digest() == alone);
    // One that learned rows of its own stays.
    Session c(model, config_of(model, head));
    CHECK(edgecl_device_set(c.session, 3, 0) == EDGECL_OK);
    select(&c, "night");
    for (uint32_t row = 0; row < 10; row++) CHECK(learn_row(&c, rows, row) == EDGECL_OK);
    CHECK(merge(&a, message_of(c)) == EDGECL_OK);
    select(&a, "night");
    CHECK(learn_row(&a, rows, 30) == EDGECL_OK && edgecl_unmerge(a.session, 3) == EDGECL_OK);
    CHECK(domain_of(a, "night") >= 0 && info_of(a, domain_of(a, "night")).rows == 1);
  }
}

TEST(adaptors_are_equal_or_the_message_is_refused) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  const std::unique_ptr<Session> first = trainer_of(model, rows, 0), second = trainer_of(model, rows, 20);
  for (const uint32_t head : kDomainHeads) {
    Session a(model, config_of(model, head)), b(model, config_of(model, head)), c(model, config_of(model, head));
    uint64_t number = 1;
    for (Session* session : {&a, &b, &c}) CHECK(edgecl_device_set(session->session, number++, 0) == EDGECL_OK);
    adapt(&b, *first);
    adapt(&c, *second);
    for (Session* session : {&b, &c}) select(session, "night");
    for (uint32_t row = 20; row < 40; row++) CHECK(learn_row(&b, rows, row) == EDGECL_OK);
    // A has no such domain: it gets B's, adaptor and all.
    CHECK_MESSAGE(merge(&a, message_of(b)) == EDGECL_OK, "%s", edgecl_session_error(a.session));
    CHECK(info_of(a, domain_of(a, "night")).adapted == 1);
    const Said of_a(&a, rows), of_b(&b, rows);
    CHECK(of_a.fits == of_b.fits && of_a.of_class == of_b.of_class);
    // C trained another one.
    refused(&a, message_of(c), EDGECL_E_STATE_MISMATCH, "\"night\"");
    refused(&c, message_of(b), EDGECL_E_STATE_MISMATCH, "two adaptors");
    refused(&c, message_of(a, EDGECL_DELTA_ALL), EDGECL_E_STATE_MISMATCH, "two adaptors");
    // Another name, and both are there.
    CHECK(edgecl_domain_remove(c.session, domain_of(c, "night")) == EDGECL_OK);
    adapt(&c, *second, "fog");
    CHECK(merge(&a, message_of(c)) == EDGECL_OK && domain_of(a, "fog") >= 0);
    // The same adaptor on two devices: sums add.
    Session twin(model, config_of(model, head));
    CHECK(edgecl_device_set(twin.session, 4, 0) == EDGECL_OK);
    adapt(&twin, *first);
    const uint64_t before = info_of(a, domain_of(a, "night")).rows_merged;
    CHECK(merge(&a, message_of(twin)) == EDGECL_OK);
    CHECK(info_of(a, domain_of(a, "night")).rows_merged > before && edgecl_unmerge(a.session, 4) == EDGECL_OK);
    // B begins its domain anew, with another adaptor: as the old rows go, the new ones may come.
    CHECK(edgecl_domain_remove(b.session, domain_of(b, "night")) == EDGECL_OK);
    adapt(&b, *second);
    CHECK_MESSAGE(merge(&a, message_of(b)) == EDGECL_OK, "%s", edgecl_session_error(a.session));
    refused(&a, message_of(twin), EDGECL_E_STATE_MISMATCH, "two adaptors");
    // No other adaptor for a domain of which others have rows.
    uint32_t learned = 0;
    CHECK(edgecl_domain_adapt(a.session, domain_of(a, "night"), first->session, &learned) == EDGECL_E_SEQUENCE);
  }
}

TEST(room_and_kinds_of_sessions) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  for (const uint32_t head : kDomainHeads) {
    Session many(model, config_of(model, head)), few(model, config_of(model, head, 2));
    CHECK(edgecl_device_set(many.session, 1, 0) == EDGECL_OK && edgecl_device_set(few.session, 2, 0) == EDGECL_OK);
    for (const char* name : kDomainNames) {
      select(&many, name);
      for (uint32_t row = 0; row < 12; row++) CHECK(learn_row(&many, rows, row) == EDGECL_OK);
    }
    select(&few, "night");
    refused(&few, message_of(many), EDGECL_E_CAPACITY, "max_domains");
    Session plain(model, merging(model, head, 3));
    CHECK(edgecl_device_set(plain.session, 3, 0) == EDGECL_OK && learn_row(&plain, rows, 0) == EDGECL_OK);
    refused(&plain, message_of(many), EDGECL_E_STATE_MISMATCH, "without domains");
    refused(&many, message_of(plain), EDGECL_E_STATE_MISMATCH, "with domains");
    // More devices than there is room for; states into sessions of other room.
    const Bytes before_any = many.state();
    for (uint64_t number = 10; number < 10 + kDevices + 1; number++) {
      Session other(model, config_of(model, head));
      CHECK(edgecl_device_set(other.session, number, 0) == EDGECL_OK);
      for (uint32_t row = 0; row < 12; row++) CHECK(learn_row(&other, rows, row) == EDGECL_OK);
      if (number < 10 + kDevices) CHECK(merge(&many, message_of(other)) == EDGECL_OK);
      if (number == 10 + kDevices) refused(&many, message_of(other), EDGECL_E_CAPACITY, "head_merges");
    }
    const Bytes state = many.state();
    edgecl_sizes sizes = {};
    sizes.struct_size = sizeof sizes;
    CHECK(edgecl_session_sizes(model.model, &many.config(), &sizes, nullptr) == EDGECL_OK);
    CHECK(state.size() <= sizes.state_bytes_max && sizes.arena_bytes == many.stats().arena_bytes);
    edgecl_session_config narrow = config_of(model, head), wide = narrow, reading = narrow;
    narrow.head_merges = kDevices - 1;
    wide.head_merges = 9;
    reading.predict_only = 1;
    Session less(model, narrow), more(model, wide), reader(model, reading);
    CHECK(import(&less, state) == EDGECL_E_STATE_MISMATCH);
    CHECK(strstr(edgecl_session_error(less.session), "head_merges") != nullptr);
    CHECK(import(&more, state) == EDGECL_OK);
    CHECK_MESSAGE(import(&reader, state) == EDGECL_OK, "%s", edgecl_session_error(reader.session));
    CHECK(message_of(more, EDGECL_DELTA_ALL) == message_of(many, EDGECL_DELTA_ALL));
    const Said said(&many, rows);
    CHECK(Said(&more, rows) == said && Said(&reader, rows) == said);
    CHECK(merge(&reader, message_of(more)) == EDGECL_E_UNSUPPORTED);
    // And back to where it was.
    CHECK(import(&many, before_any) == EDGECL_OK && many.state() == before_any);
  }
}

TEST(a_session_with_domains_may_become_another_device) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  for (const uint32_t head : kDomainHeads) {
    Session a(model, config_of(model, head));
    select(&a, "night");
    for (uint32_t row = 0; row < 30; row++) CHECK(learn_row(&a, rows, row) == EDGECL_OK);
    CHECK(edgecl_device_set(a.session, 7, 50) == EDGECL_OK);
    const Said before(&a, rows);
    const Bytes as_seven = message_of(a);
    CHECK(edgecl_device_set(a.session, 8, 0) == EDGECL_OK && device_of(a, 0).rows == 0 && device_of(a, 1).rows == 30);
    CHECK(info_of(a, 1).rows == 0 && info_of(a, 1).rows_merged == 30 && Said(&a, rows) == before);
    edgecl_merge_report report = fresh_report();
    CHECK(merge(&a, as_seven, &report) == EDGECL_OK && report.n_known == 1);
    CHECK(edgecl_device_set(a.session, 7, 0) == EDGECL_OK && message_of(a) == as_seven);
    CHECK(info_of(a, 1).rows == 30 && Said(&a, rows) == before);
    // A session without a number becomes the device that it merged.
    Session b(model, config_of(model, head));
    CHECK(merge(&b, as_seven) == EDGECL_OK && edgecl_device_set(b.session, 7, 0) == EDGECL_OK);
    CHECK(message_of(b) == as_seven && info_of(b, domain_of(b, "night")).rows == 30);
    select(&b, "night");
    for (uint32_t row = 0; row < 30; row++) CHECK(unlearn_row(&b, rows, row) == EDGECL_OK);
    CHECK(device_of(b, 0).rows == 0 && info_of(b, domain_of(b, "night")).held == 0);
  }
}

// Any word may stand anywhere: the message or state is refused and nothing changes, or it is one that can be.
TEST(forged_messages_and_states) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  for (const uint32_t head : kDomainHeads) {
    Session here(model, config_of(model, head)), there(model, config_of(model, head));
    CHECK(edgecl_device_set(here.session, 1, 0) == EDGECL_OK && edgecl_device_set(there.session, 2, 0) == EDGECL_OK);
    for (uint32_t row = 0; row < 40; row++) {
      Session* const session = row % 2 == 0 ? &here : &there;
      select(session, kDomainNames[row / 10 % 2]);
      CHECK(learn_row(session, rows, row) == EDGECL_OK);
    }
    const Bytes message = message_of(there), start = here.state();
    const std::string before = here.digest();
    uint32_t n_refused = 0, n = 0;
    for (size_t at = 128; at + 32 < message.size(); at += at < 1200 ? 1 : 37, n++) {
      Bytes bytes = message;
      bytes[at] ^= 0x41;
      CHECK(merge(&here, bytes) == EDGECL_E_STATE_CORRUPT);
      seal(&bytes);
      const edgecl_status status = merge(&here, bytes);
      n_refused += status != EDGECL_OK;
      if (status == EDGECL_OK) CHECK(import(&here, here.state()) == EDGECL_OK && import(&here, start) == EDGECL_OK);
      CHECK_MESSAGE(here.digest() == before, "head %u, byte %zu", head, at);
    }
    for (size_t length = 1; length < message.size(); length += 41) {
      Bytes bytes(message.begin(), message.begin() + static_cast<long>(length));
      CHECK(merge(&here, bytes) == EDGECL_E_STATE_CORRUPT && here.digest() == before);
    }
    CHECK_MESSAGE(n_refused > n / 10, "%u of %u", n_refused, n);
    CHECK(merge(&here, message) == EDGECL_OK);
    const std::string merged = here.digest();
    Bytes state = here.state();
    const size_t devices = section_at(&state, word<uint32_t>(&state, 48));
    for (size_t at = devices; at + 32 < state.size(); at += at < devices + 200 ? 1 : 37) {
      Bytes bytes = state;
      bytes[at] ^= 0x41;
      seal(&bytes);
      if (import(&here, bytes) == EDGECL_OK) {
        CHECK(here.state() == bytes && import(&here, state) == EDGECL_OK);
      } else {
        const std::string said = edgecl_session_error(here.session);
        CHECK(said.find("DOMAIN_DEVICES") != said.npos || said.find("head_merges") != said.npos);
      }
      CHECK_MESSAGE(here.digest() == merged, "head %u, byte %zu", head, at - devices);
    }
  }
}

// Rows of another domain: what is noticed changes nothing, what is not leaves sums that rows can have.
TEST(rows_of_another_domain_are_not_taken_back) {
  const Model model(domain_net());
  const NamedRows rows(model, 40);
  for (const uint32_t head : kDomainHeads) {
    uint32_t noticed = 0, n = 0;
    for (uint32_t of = 1; of < 12; of++) {  // rows that the domain has
      Session session(model, config_of(model, head));
      for (uint32_t row = 20; row < 40; row++) CHECK(learn_row(&session, rows, row) == EDGECL_OK);
      select(&session, "night");
      for (uint32_t row = 0; row < of; row++) CHECK(learn_row(&session, rows, row) == EDGECL_OK);
      const Bytes before = session.state();
      for (uint32_t row = 20; row < 40; row++, n++) {
        if (label_of(session, rows.name(row)) < 0) continue;
        const edgecl_status status = unlearn_row(&session, rows, row);
        CHECK(status == EDGECL_OK || status == EDGECL_E_NOT_FOUND);
        noticed += status != EDGECL_OK;
        if (status == EDGECL_OK) CHECK(import(&session, before) == EDGECL_OK);
        CHECK(session.state() == before);
      }
      for (uint32_t row = 0; row < of; row++) CHECK(unlearn_row(&session, rows, row) == EDGECL_OK);
      CHECK(info_of(session, 1).rows == 0 && info_of(session, 1).held == 0);
    }
    CHECK_MESSAGE(noticed > n * 8 / 10, "head %u: %u of %u", head, noticed, n);
  }
}

RUN_TESTS()
