// Bundles and states of every format version: read by today's code, with the scores and digests they had when written.
// Never here: how the numbers come about. The rule: runtime/DESIGN.md, "Files for ever".
#include <stdio.h>

#include "runtime/novelty/novelty.h"
#include "tests/runtime/learn_fixture.h"

namespace {

using namespace edgecl_test;

constexpr uint32_t kRows = 5;

// A folder "v2" a version: NAME.ecl, NAME.ecs, and NAME.gold, which is u32 rows, sample bytes, columns, zero; the raw
// samples; the scores, float32 rows x columns, after the state was imported; the 32 bytes of the state's digest.
struct Golden {
  const char* name;
  BundleSource (*source)();  // the recipe in it is the session's configuration
  bool is_signed, predict_only;
};

BundleSource dense_er() {
  BundleSource source = mlp();
  source.method = format::kMethodEr;
  return source;
}

BundleSource cosine_er() {  // scores by cosines, trained by gradients
  BundleSource source = dense_er();
  source.head = edgecl::kHeadCosine;
  source.cosine_scale = 4;  // no default, which may change
  return source;
}

BundleSource image_derpp() {  // sparse convolution, batch norms, bytes, crop and flip, logits in the buffer
  BundleSource source = image_net();
  source.momentum = 0.9f;
  return source;
}

BundleSource sparse_tdm_dgm() {
  BundleSource source = mlp(0.5f);
  source.method = format::kMethodErAce;
  source.momentum = 0.5f;
  for (SourceParam& param : source.params) {
    if (param.sparse) param.nnz_capacity = static_cast<uint32_t>(param.positions.size()) + 5;
  }
  source.structure = format::kStructureTdm;
  source.structure_interval = 3;
  source.structure_updates = 2;
  source.structure_inter = source.structure_intra = 0.1f;
  source.importance_current = 0.5f;
  source.gradient_mask = format::kGradientDgm;
  source.gradient_interval = 4;
  source.gradient_keep = 0.5f;
  return source;
}

BundleSource tail_latent() {
  BundleSource source = tail_net(false);
  source.method = format::kMethodEr;
  source.latent_replay = true;
  source.augment_crop = 0;
  source.augment_flip = false;
  return source;
}

BundleSource notes_and_all() {
  BundleSource source = mlp();
  source.method = format::kMethodEr;
  source.notes = "trained in hall 3\nstraße";
  source.taps = {{1, false}, {2, true}};
  source.parity = {3, 0.5f, 0.25f, 2.0f, "a reference"};
  source.rate_schedule = format::kRateCosine;
  source.rate_floor = 0.05f;
  source.removal_share = 0.3f;
  source.removal_stages = 0xe;
  source.rehearse_steps = 20;
  source.rehearse_interval = 100;
  source.preset_name = "golden";
  return source;
}

BundleSource exemplars_balanced() {  // samples in the bundle, as bytes; classes with weights
  BundleSource source = with_exemplars(mlp(0.5f), format::kElementI8);
  source.method = format::kMethodDerpp;
  source.replay_policy = format::kReplayBalanced;
  source.label_kind = format::kLabelsText;
  return source;
}

BundleSource lda_rmds() {  // a head that keeps statistics, with a bank and a novelty score
  BundleSource source = mlp();
  source.head = edgecl::kHeadLda;
  source.head_shrinkage = 0.25f;  // no default, which may change
  source.head_bank = 40;
  source.feature_range = 8;
  source.novelty = edgecl::kNoveltyRmds;
  return source;
}

BundleSource hd_drift() {  // codes of bits, and a window that alarms
  BundleSource source = mlp();
  source.head = edgecl::kHeadHd;
  source.hd_bits = 192;
  source.feature_range = 8;
  source.cosine_scale = 4;  // no default, which may change
  source.novelty = edgecl::kNoveltyHd;
  source.novelty_window = 12;
  return source;
}

BundleSource fecam_devices() {  // moments of each class, of two devices
  BundleSource source = mlp();
  source.head = edgecl::kHeadFecam;
  source.head_shrinkage = 0.5f;  // no default, which may change
  source.cosine_scale = 4;
  source.feature_root = 1;
  source.feature_range = 8;
  source.head_merges = 2;
  return source;
}

BundleSource ridge_devices() {  // parts of other devices, and a message
  BundleSource source = mlp();
  source.head = edgecl::kHeadRidge;
  source.head_shrinkage = 0.25f;
  source.head_bank = 40;
  source.feature_range = 8;
  source.head_merges = 2;
  return source;
}

BundleSource lda_domains() {  // two domains, one of them with values of its own
  BundleSource source = domain_net();
  source.head = edgecl::kHeadLda;
  source.head_shrinkage = 0.25f;
  source.feature_range = 8;
  source.max_domains = 3;
  return source;
}

BundleSource hd_devices() {  // codes of bits of several devices, and a message
  BundleSource source = hd_drift();
  source.novelty = 0;
  source.novelty_window = 0;
  source.head_merges = 2;
  return source;
}

BundleSource ncm_domain_devices() {  // domains of several devices, and a message
  BundleSource source = domain_net();
  source.head = edgecl::kHeadNcmDistance;
  source.feature_range = 8;
  source.max_domains = 3;
  source.head_merges = 2;
  return source;
}

BundleSource ncm_encoder() {  // a model file of another engine makes the samples
  BundleSource source = with_encoder(mlp(), format::kEngineTflite);
  source.head = edgecl::kHeadNcm;
  source.feature_range = 8;
  return source;
}

BundleSource views_er() {  // views, boxes, reductions, softmax, and every elementwise function
  using edgecl::Activation;
  NetBuilder net(9);
  uint32_t x = net.conv(net.input(2, 6, 6), 4, {});
  x = net.strided(x, {12, 4, 4}, {1, 1, 4, 3, 4, 4, 0, 0, 36, 6, 6, 1},
                  1);  // windows of rows, without the first column
  x = net.binary(format::kOpMaximum, net.softmax(x, false), net.prelu(x));
  x = net.binary(format::kOpMinimum, x, net.softmax(x, true));
  x = net.place({net.reduce(x, edgecl::Reduction::kSum), net.reduce(x, edgecl::Reduction::kMax)}, {12, 2, 4},
                {1, 1, 1, 12, 2, 4, 0, 0, 0, 0, 0, 0, 1, 1, 1, 12, 1, 4, 0, 0, 0, 0, 1, 0, 1, 1, 1, 12, 1, 4}, 0);
  // Of 0.5 and more: logarithms and roots of anything are no numbers.
  const uint32_t positive =
      net.binary_constant(format::kOpAdd, net.activation(x, Activation::kSigmoid), {1, 1, 1}, false);
  x = positive;
  for (int kind = static_cast<int>(Activation::kTanh); kind <= static_cast<int>(edgecl::kLastActivation); kind++)
    x = net.binary(format::kOpAdd, x, net.activation(positive, static_cast<Activation>(kind), 0.75f, 1.25f));
  x = net.flatten(net.global_pool(x));
  net.finish(net.linear(x, 5), x);
  BundleSource source = net.source;
  source.method = format::kMethodEr;
  source.replay_batch = 4;
  source.replay_capacity = 20;
  source.learning_rate = 0.01f;
  source.classes.clear();
  return source;
}

BundleSource recurrent_er() {  // every recurrent cell, both directions, with and without biases
  NetBuilder net(10);
  uint32_t x = net.input(3, 1, 7);
  for (int cell = 0; cell < edgecl::kRecurrentCells; cell++) {
    const auto kind = static_cast<edgecl::RecurrentCell>(cell);
    x = net.concat({net.recurrent(x, 4, kind, false), net.recurrent(x, 3, kind, true, cell % 2 == 0)});
  }
  x = net.flatten(x);
  net.finish(net.linear(x, 5), x);
  BundleSource source = net.source;
  source.method = format::kMethodEr;
  source.replay_batch = 4;
  source.replay_capacity = 20;
  source.learning_rate = 0.01f;
  source.classes.clear();
  return source;
}

BundleSource layer_norm_er() {  // layer norms with and without mean, gamma and beta, over maps and over a vector
  NetBuilder net(10);
  uint32_t x = net.layer_norm(net.conv(net.input(2, 6, 6), 6, {}), true, true, true);
  x = net.layer_norm(x, false, true, false);
  x = net.layer_norm(net.flatten(net.global_pool(x)), true, false, true);
  net.finish(net.linear(x, 5), x);
  BundleSource source = net.source;
  source.method = format::kMethodEr;
  source.replay_batch = 4;
  source.replay_capacity = 20;
  source.learning_rate = 0.01f;
  source.classes.clear();
  return source;
}

BundleSource matmul_er() {  // two heads of attention, and a product with a factor that is shared and a part
  NetBuilder net(11);
  const uint32_t x = net.conv(net.input(2, 6, 6), 8, {}), y = net.activation(x, edgecl::Activation::kTanh);
  const int32_t t = static_cast<int32_t>(net.source.tensors[x].height * net.source.tensors[x].width);
  const uint32_t tokens = static_cast<uint32_t>(t);
  const uint32_t scores =
      net.matmul(x, y, {2, tokens, tokens},
                 {1, 1, 2, t, t, 4, 0, 0, 4 * t, 1, 0, t, 0, 0, 4 * t, 0, 1, t, 0, 0, t * t, t, 1, 0}, 0.5f);
  const uint32_t heads =
      net.matmul(net.softmax(scores, false), y, {8, 1, tokens},
                 {1, 1, 2, t, 4, t, 0, 0, t * t, t, 0, 1, 0, 0, 4 * t, 0, t, 1, 0, 0, 4 * t, 1, t, 0}, 1.0f);
  const uint32_t shared = net.matmul(
      heads, y, {6, 2, 2}, {1, 2, 3, 2, 2, 5, 0, 0, t, 5, 0, 1, 0, 4 * t, 0, 0, 5, 1, 0, 12, 4, 2, 1, 0}, 0.25f);
  const uint32_t flat = net.concat({net.flatten(net.global_pool(heads)), net.flatten(shared)});
  net.finish(net.linear(flat, 5), flat);
  BundleSource source = net.source;
  source.method = format::kMethodEr;
  source.replay_batch = 4;
  source.replay_capacity = 20;
  source.learning_rate = 0.01f;
  source.classes.clear();
  return source;
}

const Golden kCases[] = {
    {"dense_er", dense_er, false, false},           {"cosine_er", cosine_er, false, false},
    {"image_derpp", image_derpp, false, false},     {"sparse_tdm_dgm", sparse_tdm_dgm, false, false},
    {"tail_latent", tail_latent, false, false},     {"notes_signed", notes_and_all, true, false},
    {"image_reader", image_derpp, false, true},     {"exemplars_balanced", exemplars_balanced, false, false},
    {"lda_rmds", lda_rmds, false, false},           {"hd_drift", hd_drift, false, false},
    {"ridge_devices", ridge_devices, false, false}, {"fecam_devices", fecam_devices, false, false},
    {"lda_domains", lda_domains, false, false},     {"ncm_encoder", ncm_encoder, false, false},
    {"hd_devices", hd_devices, false, false},       {"ncm_domain_devices", ncm_domain_devices, false, false},
    {"views_er", views_er, false, false},           {"recurrent_er", recurrent_er, false, false},
    {"layer_norm_er", layer_norm_er, false, false}, {"matmul_er", matmul_er, false, false},
};
const char* const kVersions[] = {"v2"};

using Bytes = std::vector<uint8_t>;

std::string path_of(const std::string& version, const char* name, const char* end) {
  return std::string(EDGECL_GOLDEN_DIR) + "/" + version + "/" + name + end;
}

Bytes read_all(const std::string& path) {
  Bytes bytes;
  FILE* file = fopen(path.c_str(), "rb");
  CHECK_MESSAGE(file != nullptr, "%s", path.c_str());
  if (file == nullptr) return bytes;
  uint8_t piece[4096];
  for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;) bytes.insert(bytes.end(), piece, piece + n);
  fclose(file);
  return bytes;
}

bool exists(const std::string& path) {
  FILE* file = fopen(path.c_str(), "rb");
  if (file != nullptr) fclose(file);
  return file != nullptr;
}

// Fails where the file exists: golden files are never written again.
void write_new(const std::string& path, const Bytes& bytes) {
  FILE* file = fopen(path.c_str(), "wbx");
  if (file == nullptr) {
    fprintf(stderr, "expected to create %s; found it, or no folder; golden files are never written again\n",
            path.c_str());
    exit(1);
  }
  fwrite(bytes.data(), 1, bytes.size(), file);
  fclose(file);
}

edgecl_session_config config_of(const Model& model, const Golden& c) {
  edgecl_session_config config = model.config();
  config.predict_only = c.predict_only;
  return config;
}

std::vector<float> scores_of(const Session& session, const void* samples, uint32_t columns) {
  std::vector<float> scores(kRows * columns);
  const edgecl_batch batch = session.batch(samples, kRows);
  CHECK(edgecl_logits(session.session, &batch, scores.data(), scores.size()) == EDGECL_OK);
  return scores;
}

void append(Bytes* out, const void* data, size_t n) {
  const uint8_t* p = static_cast<const uint8_t*>(data);
  out->insert(out->end(), p, p + n);
}

Bytes message_of(const Session& session) {
  size_t n = 0, written = 0;
  CHECK(edgecl_delta_size(session.session, EDGECL_DELTA_ALL, &n) == EDGECL_OK);
  Bytes bytes(n);
  CHECK(edgecl_delta_export(session.session, EDGECL_DELTA_ALL, bytes.data(), n, &written) == EDGECL_OK);
  return bytes;
}

void make(const std::string& version, const Golden& c) {
  const Bytes bare = encode(c.source());
  Bytes bundle = bare;
  if (c.is_signed) {
    uint8_t signature[64];
    for (uint8_t i = 0; i < 64; i++) signature[i] = i;
    std::string error;
    bundle = edgecl::attach_signature(bare, signature, signature, &error);
  }
  const Model model(bare), final_model(bundle);
  Golden learner = c;
  learner.predict_only = false;
  Session session(model, config_of(model, learner));
  Stream stream(model.info, 11);
  for (int i = 0; i < 7; i++) {
    stream.next(4, 0, 3);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  if (model.info.n_exemplars > 0) CHECK(edgecl_class_weight_set(session.session, 0, 2.5f) == EDGECL_OK);
  if (session.config().max_domains > 0) {  // a domain with an adaptor that was trained
    edgecl_session_config by_gradient = config_of(model, learner);
    by_gradient.head = EDGECL_HEAD_GRADIENT;
    by_gradient.max_domains = 0;
    Session trainer(model, by_gradient);
    stream.next(4, 0, 3);
    CHECK(trainer.learn(stream.data(), stream.labels) == EDGECL_OK);
    int32_t domain = 0;
    uint32_t rows = 0;
    CHECK(edgecl_domain_add(session.session, "second", &domain) == EDGECL_OK);
    CHECK(edgecl_domain_adapt(session.session, domain, trainer.session, &rows) == EDGECL_OK && rows == 4);
  } else {
    CHECK(edgecl_class_forget(session.session, 1) == EDGECL_OK);
  }
  if (session.config().head_merges > 0) {  // what was learned so far is another device's
    CHECK(edgecl_device_set(session.session, 5, 100) == EDGECL_OK);
    CHECK(edgecl_device_set(session.session, 6, 0) == EDGECL_OK);
    stream.next(4, 2, 1);
    CHECK(session.learn(stream.data(), stream.labels) == EDGECL_OK);
  }
  const float held_out[] = {-3, -2.5f, -1, 0.5f, 2};
  if (session.config().novelty != 0)
    CHECK(edgecl_novelty_calibrate(session.session, 0, held_out, 5, 0.6, 0.8) == EDGECL_OK);
  if (session.config().novelty_window != 0) {
    std::vector<float> familiar(100);
    for (size_t i = 0; i < familiar.size(); i++) familiar[i] = -1 + 0.001f * static_cast<float>(i);
    CHECK(edgecl_novelty_calibrate(session.session, 0, familiar.data(), 100, 0.9, 0.95) == EDGECL_OK);
    stream.next(15);
    int32_t decisions[15];
    const edgecl_batch observed = session.batch(stream.data(), 15);
    CHECK(edgecl_observe(session.session, &observed, decisions, 15) == EDGECL_OK);
  }
  Session copy(final_model, config_of(final_model, c));
  const Bytes learned = session.state();
  CHECK_MESSAGE(edgecl_state_import(copy.session, learned.data(), learned.size()) == EDGECL_OK, "%s",
                edgecl_session_error(copy.session));
  stream.next(kRows);
  const uint32_t columns = model.info.class_capacity;
  const uint32_t sample_bytes =
      static_cast<uint32_t>(model.info.input_elements * (model.info.input_dtype == EDGECL_U8 ? 1 : 4));
  const std::vector<float> scores = scores_of(copy, stream.data(), columns);
  const Bytes state = copy.state();
  Bytes gold;
  const uint32_t head[] = {kRows, sample_bytes, columns, 0};
  append(&gold, head, sizeof head);
  append(&gold, stream.data(), kRows * static_cast<size_t>(sample_bytes));
  append(&gold, scores.data(), scores.size() * sizeof(float));
  append(&gold, state.data() + state.size() - 32, 32);
  write_new(path_of(version, c.name, ".ecl"), bundle);
  write_new(path_of(version, c.name, ".ecs"), state);
  write_new(path_of(version, c.name, ".gold"), gold);
  if (session.config().head_merges > 0) write_new(path_of(version, c.name, ".ecd"), message_of(session));
}

void check_encoder(const Model& model, const edgecl::SourceEncoder& wanted) {
  edgecl_encoder_info info = {};
  info.struct_size = sizeof info;
  const edgecl_status status = edgecl_model_encoder(model.model, &info);
  CHECK(status == (wanted.file.empty() ? EDGECL_E_NOT_FOUND : EDGECL_OK));
  if (status != EDGECL_OK) return;
  CHECK(info.engine == wanted.engine && info.input_dtype == EDGECL_U8 && info.scale == wanted.scale);
  CHECK(info.input_dims[0] == 2 && info.input_dims[1] == 3 && info.input_dims[2] == 4 && info.channels_last == 1);
  CHECK(memcmp(info.probe_outputs, wanted.probe_outputs.data(), wanted.probe_outputs.size() * sizeof(float)) == 0);
  CHECK(info.file_bytes == wanted.file.size() && memcmp(info.file, wanted.file.data(), wanted.file.size()) == 0);
}

void check(const std::string& version, const Golden& c) {
  const Bytes bundle = read_all(path_of(version, c.name, ".ecl")), state = read_all(path_of(version, c.name, ".ecs")),
              gold = read_all(path_of(version, c.name, ".gold"));
  const Model model(bundle);
  CHECK((model.info.is_signed != 0) == c.is_signed);
  if (c.is_signed) CHECK(strcmp(model.info.notes, "trained in hall 3\nstraße") == 0);
  check_encoder(model, c.source().encoder);
  Session session(model, config_of(model, c));
  CHECK_MESSAGE(edgecl_state_import(session.session, state.data(), state.size()) == EDGECL_OK, "%s: %s", c.name,
                edgecl_session_error(session.session));
  uint32_t head[4] = {};
  if (gold.size() >= sizeof head) memcpy(head, gold.data(), sizeof head);
  const size_t samples = static_cast<size_t>(head[0]) * head[1], scores = static_cast<size_t>(head[0]) * head[2] * 4;
  CHECK(head[0] == kRows && head[2] == model.info.class_capacity);
  CHECK(gold.size() == sizeof head + samples + scores + 32);
  if (gold.size() != sizeof head + samples + scores + 32) return;
  AlignedBytes rows(Bytes(gold.begin() + sizeof head, gold.begin() + sizeof head + static_cast<long>(samples)));
  const std::vector<float> found = scores_of(session, rows.data(), head[2]);
  CHECK_MESSAGE(memcmp(found.data(), gold.data() + sizeof head + samples, scores) == 0, "%s", c.name);
  // A later version of the state format writes other bytes: then only those of its own folder are the same again.
  if (state[4] == edgecl_state_format_version()) {
    uint8_t digest[32];
    CHECK(edgecl_state_digest(session.session, digest) == EDGECL_OK);
    CHECK_MESSAGE(memcmp(digest, gold.data() + gold.size() - 32, 32) == 0, "%s", c.name);
    CHECK_MESSAGE(session.state() == state, "%s", c.name);
  }
  if (session.config().head_merges > 0) {
    const Bytes message = read_all(path_of(version, c.name, ".ecd"));
    edgecl_merge_report report = {};
    report.struct_size = sizeof report;
    if (state[4] == edgecl_state_format_version()) CHECK_MESSAGE(message_of(session) == message, "%s", c.name);
    CHECK(edgecl_merge(session.session, message.data(), message.size(), &report) == EDGECL_OK);
    CHECK(report.n_devices == 2 && report.n_known == 2);
  }
  if (c.predict_only) return;
  // It goes on: a step of the stored rows, with a label that is present.
  CHECK_MESSAGE(session.learn(rows.data(), {0, 2, 0}) == EDGECL_OK, "%s: %s", c.name,
                edgecl_session_error(session.session));
}

}  // namespace

TEST(files_of_every_version) {
  for (const char* version : kVersions) {
    for (const Golden& c : kCases) check(version, c);
  }
}

int main(int argc, char** argv) {
  if (argc == 3 && strcmp(argv[1], "--make") == 0) {
    for (const Golden& c : kCases) {
      if (!exists(path_of(argv[2], c.name, ".ecl"))) make(argv[2], c);
    }
    return 0;
  }
  return edgecl_test::run(argc, argv);
}
