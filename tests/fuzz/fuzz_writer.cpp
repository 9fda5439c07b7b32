// Fuzz target: a network in memory, as Python's dict gives it to the writer. A seed or a chain of layers is built, then
// single fields are changed. The writer answers with a sentence or with a bundle; a bundle opens and lives.
// Never here: the reading of the dict (tests/python/test_writer_input.py).
#include "runtime/bundle/bundle_writer.h"
#include "tests/fuzz/fuzz_session.h"

namespace {

using namespace edgecl_fuzz;
using edgecl_test::NetBuilder;
namespace format = edgecl::format;

Block bundle_block(256u << 10), model_block(256u << 10), arena_block(kMostArena), rows_block(512u << 10);

// More would only make the fuzzing slow: a chain of depthwise layers can double its channels again and again.
constexpr uint32_t kMostChannels = 64;

// Layers as the bytes say; shapes fit each other mostly by luck, as an exporter's would not.
BundleSource built(Input* in) {
  NetBuilder net(in->u8());
  uint32_t x = net.input(1 + in->below(6), 1 + in->below(9), 1 + in->below(9));
  const uint32_t n_layers = in->below(12);
  for (uint32_t i = 0; i < n_layers; i++) {
    const edgecl::SourceTensor shape = net.source.tensors[x];
    const uint32_t mate = in->below(static_cast<uint32_t>(net.source.tensors.size()));
    switch (in->below(11)) {
      case 0: {
        NetBuilder::ConvOptions o;
        o.kernel = 1 + in->below(4);
        o.stride = 1 + in->below(3);
        o.pad = in->below(o.kernel);
        if (shape.height + 2 * o.pad < o.kernel || shape.width + 2 * o.pad < o.kernel) break;
        o.groups = in->below(4) == 0 ? shape.channels : 1;
        o.density = in->below(3) == 0 ? 0.4f : 1.0f;
        o.trainable = in->below(3) != 0;
        o.bias = in->below(2) != 0;
        o.activation = static_cast<edgecl::Activation>(in->below(3));
        const uint32_t outputs = o.groups * (1 + in->below(6));
        if (outputs > kMostChannels) break;
        x = net.conv(x, outputs, o);
        break;
      }
      case 1:
        x = net.batch_norm(x, static_cast<edgecl::Activation>(in->below(3)), in->below(3) == 0 ? mate : format::kNone,
                           in->below(3) == 0, in->below(3) != 0);
        break;
      case 2:
        if (in->below(3) == 0)
          x = net.layer_norm(x, in->below(2) == 0, in->below(2) == 0, in->below(2) == 0);
        else
          x = net.group_norm(x, 1 + static_cast<int32_t>(in->below(shape.channels)));
        break;
      case 3:
        x = net.activation(x, static_cast<edgecl::Activation>(1 + in->below(5)), in->real(), in->real());
        break;
      case 4: {
        const uint32_t kernel = 1 + in->below(4), stride = 1 + in->below(3), pad = in->below(kernel);
        if (shape.height + 2 * pad < kernel || shape.width + 2 * pad < kernel) break;
        x = net.pool(x, in->below(2) == 0 ? format::kOpMaxPool : format::kOpAveragePool, kernel, stride, pad);
        break;
      }
      case 5:
        x = net.global_pool(x);
        break;
      case 6:
        x = net.binary(in->below(2) == 0 ? format::kOpAdd : format::kOpMul, x, mate);
        break;
      case 7:
        x = net.binary_constant(in->below(2) == 0 ? format::kOpAdd : format::kOpMul, x,
                                {in->below(2) == 0 ? shape.channels : 1, in->below(2) == 0 ? shape.height : 1,
                                 in->below(2) == 0 ? shape.width : 1},
                                in->below(2) != 0);
        break;
      case 8:
        if (shape.channels + net.source.tensors[mate].channels <= kMostChannels) x = net.concat({x, mate});
        break;
      case 9:
        if (shape.channels * shape.height * shape.width <= 256) x = net.flatten(x);
        break;
      default:
        if (shape.height == 1 && shape.width == 1) x = net.linear(x, 1 + in->below(12), in->below(2) == 0 ? 0.5f : 1);
    }
  }
  const edgecl::SourceTensor last = net.source.tensors[x];
  if (last.height != 1 || last.width != 1) x = net.flatten(net.global_pool(x));
  net.finish(net.linear(x, 1 + in->below(8), in->below(3) == 0 ? 0.5f : 1), in->below(2) == 0 ? x : format::kNone);
  return net.source;
}

template <class T>
void edit_list(Input* in, std::vector<T>* list) {
  const uint32_t n = static_cast<uint32_t>(list->size());
  switch (n == 0 ? 3 : in->below(4)) {
    case 0:
      list->erase(list->begin() + in->below(n));
      break;
    case 1:
      if (n < 64) list->insert(list->begin() + in->below(n + 1), T((*list)[in->below(n)]));
      break;
    case 2:
      std::swap((*list)[in->below(n)], (*list)[in->below(n)]);
      break;
    default:
      if (n < 64) list->push_back(T());
  }
}

void edit_word(Input* in, uint32_t* word) {
  const uint8_t kind = in->u8();
  if (kind < 60) {
    ++*word;
  } else if (kind < 120) {
    --*word;
  } else {
    *word = in->number();
  }
}
void edit_word(Input* in, int32_t* word) {
  uint32_t bits = static_cast<uint32_t>(*word);
  edit_word(in, &bits);
  *word = static_cast<int32_t>(bits);
}

template <class T>
void edit_one(Input* in, std::vector<T>* list) {
  if (!list->empty()) edit_word(in, &(*list)[in->below(static_cast<uint32_t>(list->size()))]);
}

void edit_text(Input* in, std::string* text) {
  const uint32_t n = in->below(4) == 0 ? in->u16() % 400 : in->below(6);
  text->clear();
  for (uint32_t i = 0; i < n; i++) text->push_back(static_cast<char>(i < 4 ? in->u8() : 'a'));
}

void edit_op(Input* in, edgecl::SourceOp* op) {
  int32_t* const numbers[] = {&op->kernel_h,   &op->kernel_w, &op->stride_h, &op->stride_w,   &op->dilation_h,
                              &op->dilation_w, &op->pad_top,  &op->pad_left, &op->pad_bottom, &op->pad_right,
                              &op->groups,     &op->i[0],     &op->i[1]};
  switch (in->below(10)) {
    case 0:
      return edit_word(in, &op->kind);
    case 1:
      return edit_list(in, &op->inputs);
    case 2:
      return edit_one(in, &op->inputs);
    case 3:
      return edit_word(in, &op->output);
    case 4:
      return edit_list(in, &op->params);
    case 5:
      return edit_one(in, &op->params);
    case 6:
      return edit_word(in, &op->activation);
    case 7: {
      float* const reals[] = {&op->activation_lo, &op->activation_hi, &op->epsilon, &op->momentum};
      *reals[in->below(4)] = in->real();
      return;
    }
    case 8:
      op->frozen = !op->frozen;
      return;
    default:
      return edit_word(in, numbers[in->below(13)]);
  }
}

void edit_param(Input* in, edgecl::SourceParam* param) {
  const uint32_t n_values = static_cast<uint32_t>(param->values.size());
  const uint32_t n_words = static_cast<uint32_t>(param->integers.size() / sizeof(int32_t));
  switch (in->below(9)) {
    case 0:
      param->trainable = !param->trainable;
      break;
    case 1:
      param->sparse = !param->sparse;
      break;
    case 2:
      edit_list(in, &param->dims);
      break;
    case 3:
      edit_one(in, &param->dims);
      break;
    case 4:
      edit_one(in, &param->positions);
      break;
    case 5:
      if (n_values > 0) {
        param->values[in->u16() % n_values] = in->real();
      } else if (n_words > 0) {  // views and boxes, tables of int8
        int32_t word;
        uint8_t* at = param->integers.data() + in->below(n_words) * sizeof word;
        memcpy(&word, at, sizeof word);
        edit_word(in, &word);
        memcpy(at, &word, sizeof word);
      }
      break;
    case 6:
      edit_word(in, &param->nnz_capacity);
      break;
    case 7:
      edit_list(in, &param->values);
      break;
    default:
      edit_text(in, &param->name);
  }
}

void edit_backward(Input* in, edgecl::SourceBackward* record) {
  switch (in->below(6)) {
    case 0:
      return edit_word(in, &record->op);
    case 1:
      return edit_word(in, &record->output_gradient);
    case 2:
      return edit_list(in, &record->input_gradients);
    case 3:
      return edit_one(in, &record->input_gradients);
    case 4:
      if (record->accumulate.size() < 12) record->accumulate.push_back(in->below(2) != 0);
      return;
    default:
      if (record->train_params.size() < 8) record->train_params.push_back(in->below(2) != 0);
  }
}

void edit_tensor(Input* in, edgecl::SourceTensor* tensor) {
  switch (in->below(6)) {
    case 0:
      return edit_word(in, &tensor->channels);
    case 1:
      return edit_word(in, &tensor->height);
    case 2:
      return edit_word(in, &tensor->width);
    case 3:
      tensor->gradient = !tensor->gradient;
      return;
    case 4:
      return edit_word(in, &tensor->alias);
    default:
      return edit_text(in, &tensor->name);
  }
}

void edit_exemplars(Input* in, edgecl::SourceExemplars* exemplars) {
  switch (in->below(6)) {
    case 0:
      return edit_word(in, &exemplars->dtype);
    case 1:
      return edit_list(in, &exemplars->labels);
    case 2:
      if (!exemplars->labels.empty()) edit_word(in, &exemplars->labels[0]);
      return;
    case 3:
      if (!exemplars->rows.empty()) {
        edit_word(in, &exemplars->rows[0].first);
        exemplars->rows[0].second = in->number();
      }
      return;
    case 4: {
      const size_t n = exemplars->samples.size();
      if (n >= 4) {
        const float x = in->real();
        memcpy(&exemplars->samples[in->u16() % (n - 3)], &x, sizeof x);
      }
      return;
    }
    default:
      return edit_list(in, in->below(2) == 0 ? &exemplars->scale : &exemplars->offset);
  }
}

void edit_encoder(Input* in, edgecl::SourceEncoder* encoder) {
  switch (in->below(8)) {
    case 0: {
      uint32_t* const words[] = {&encoder->engine, &encoder->dtype, &encoder->positions, &encoder->n_probe};
      return edit_word(in, words[in->below(4)]);
    }
    case 1:
      return edit_list(in, &encoder->dims);
    case 2:
      if (!encoder->dims.empty()) edit_word(in, &encoder->dims[0]);
      return;
    case 3:
      encoder->scale = in->real();
      return;
    case 4: {
      std::vector<float>* const lists[] = {&encoder->mean, &encoder->inv_std, &encoder->probe_outputs};
      std::vector<float>* const list = lists[in->below(3)];
      if (!list->empty()) (*list)[0] = in->real();
      return;
    }
    case 5:
      return edit_list(in, in->below(2) == 0 ? &encoder->inv_std : &encoder->probe_outputs);
    case 6:
      encoder->channels_last = !encoder->channels_last;
      return;
    default:
      return edit_list(in, &encoder->file);
  }
}

void edit_rest(Input* in, BundleSource* source) {
  switch (in->below(17)) {
    case 16:
      return edit_encoder(in, &source->encoder);
    case 14:
      return edit_exemplars(in, &source->exemplars);
    case 15:
      source->label_kind = in->below(7);
      return;
    case 0: {
      uint32_t* const words[] = {&source->class_capacity, &source->logits_tensor, &source->embedding_tensor,
                                 &source->head_weight,    &source->head_bias,     &source->input_dtype};
      return edit_word(in, words[in->below(6)]);
    }
    case 1:
      return edit_text(in, in->below(2) == 0 ? &source->name : &source->preset_name);
    case 2:
      return edit_text(in, in->below(2) == 0 ? &source->producer : &source->notes);
    case 3:
      return edit_list(in, &source->input_dims);
    case 4:
      if (!source->input_dims.empty()) edit_word(in, &source->input_dims[0]);
      return;
    case 5:
      source->input_scale = in->real();
      return;
    case 6:
      if (!source->input_mean.empty()) source->input_mean[0] = in->real();
      return;
    case 7:
      if (!source->input_inv_std.empty()) source->input_inv_std[0] = in->real();
      return;
    case 8:
      return edit_list(in, &source->classes);
    case 9:
      if (!source->classes.empty()) {
        edit_word(in, &source->classes[0].first);
        edit_text(in, &source->classes[0].second);
      }
      return;
    case 10:
      source->parity.n_rows = in->below(3);
      source->parity.max_abs = in->real();
      return edit_text(in, &source->parity.source);
    case 11:
      source->taps.push_back({in->number(), in->below(2) != 0});
      return;
    case 12:
      source->channels_last = !source->channels_last;
      return;
    default: {  // a word of the recipe; real numbers by their bits
      uint32_t* words = reinterpret_cast<uint32_t*>(static_cast<format::RecipeRecord*>(source));
      uint32_t* word = words + in->below(format::kRecipeWords);
      if (in->below(2) == 0) return edit_word(in, word);
      const float x = in->real();
      memcpy(word, &x, sizeof x);
    }
  }
}

template <class T>
T* one_of(Input* in, std::vector<T>* list) {
  return list->empty() ? nullptr : &(*list)[in->below(static_cast<uint32_t>(list->size()))];
}

void edit(Input* in, BundleSource* source) {
  switch (in->below(12)) {
    case 0:
    case 1:
    case 2:
      if (edgecl::SourceOp* op = one_of(in, &source->ops)) edit_op(in, op);
      break;
    case 3:
    case 4:
      if (edgecl::SourceParam* param = one_of(in, &source->params)) edit_param(in, param);
      break;
    case 5:
      if (edgecl::SourceBackward* record = one_of(in, &source->backward)) edit_backward(in, record);
      break;
    case 6:
    case 7:
      if (edgecl::SourceTensor* tensor = one_of(in, &source->tensors)) edit_tensor(in, tensor);
      break;
    case 8:
      switch (in->below(4)) {
        case 0:
          edit_list(in, &source->ops);
          break;
        case 1:
          edit_list(in, &source->params);
          break;
        case 2:
          edit_list(in, &source->backward);
          break;
        default:
          edit_list(in, &source->tensors);
      }
      break;
    default:
      edit_rest(in, source);
  }
}

void live_shortly(const std::vector<uint8_t>& bundle, Input* in) {
  if (bundle.size() > bundle_block.capacity()) return;
  edgecl_model* model = open_model(bundle_block.copy(bundle.data(), bundle.size()), bundle.size(), &model_block);
  REQUIRE(model != nullptr, "what the writer wrote does not open");
  Rows rows(model, &rows_block);
  if (rows.info().macs_forward <= kMostMacs && rows.sample_bytes() * kMostRows <= rows_block.capacity()) {
    const edgecl_session_config config = config_from(in, model);
    edgecl_session* session = make_session(model, config, &arena_block);
    if (session != nullptr) live(session, config, &rows, in, in->below(4) != 0, 4);
    edgecl_session_destroy(session);
  }
  REQUIRE(edgecl_model_close(model) == EDGECL_OK);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  return LLVMFuzzerMutate(data, size, max_size < 512 ? max_size : 512);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 512) return 0;
  Input in(data, size);
  Input session_bytes(data, size);  // the same bytes once more, for what the session does
  const uint8_t kind = in.u8();
  BundleSource source;
  if (kind < 64) {
    static std::vector<BundleSource> seeds;
    while (seeds.size() < kSeeds) seeds.push_back(seed_source(static_cast<uint32_t>(seeds.size())));
    source = seeds[kind % kSeeds];
  } else {
    source = built(&in);
  }
  while (in.left() > 0) edit(&in, &source);
  std::string error;
  const std::vector<uint8_t> bundle = edgecl::write_bundle(source, &error);
  REQUIRE(bundle.empty() != error.empty(), "'%s'", error.c_str());
  if (bundle.empty()) {
    require_sentence(error.c_str());
  } else {
    live_shortly(bundle, &session_bytes);
  }
  return 0;
}
