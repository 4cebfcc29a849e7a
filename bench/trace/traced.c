/* iobuf_traced: this library's calls for a program that is built with IOBUF_NO_INLINE, each of which goes to the library itself
 * (compiled a second time, its names beginning with real_) and writes what it did to a trace. FORMAT.md describes that, and
 * recorder.h the settings; every size is recorded if none is given.
 *
 * A program copies handles as it likes, so a handle is known by what it holds: buf, data, size. Those that are equal are
 * interchangeable, here as there. Behind a handle are the recorded buffers ("lives") that its bytes come from: one, until
 * neighbours are coalesced; and behind a life are the handles that refer to it: one, until it is shared or split.
 *
 * A handle is taken out of its shard before its reference can go, and put in after it came. All handles of a buf, and so of a
 * life, are in one shard; its lock is held while an event is written, so that the events of a life are in the order of their
 * times. It is not held, and the thread is not busy, while the library runs: that may call back to the program.
 */
#include "trace/recorder.h"

#include <iobuf/iobuf.h>

#include <sys/mman.h>

#if IOBUF_INLINE_
#error "iobuf_traced needs IOBUF_NO_INLINE"
#endif

#define CALLER __builtin_return_address(0)

enum { SHARDS = 64, BUCKETS = 256, NODES = 1024, HOMES = 32, IDS = 128, FEW = 64 };

/* The library itself. CMakeLists.txt has these names too. */
#define REAL(name) extern __typeof__(iobuf_##name) real_iobuf_##name
REAL(alloc);
REAL(copy);
REAL(slice_release);
REAL(slice_release_previous);
REAL(slice_truncate_front);
REAL(slice_truncate_back);
REAL(slice_expand_front);
REAL(slice_share);
REAL(slice_split);
REAL(slice_compact);
REAL(coalesce);
REAL(allocator_shrink);
REAL(writev);
REAL(reader_read);
REAL(reader_read_some);

/* Lives, handles, and what of which is which */

struct life {
    uint64_t id;
    uintptr_t from, to; /* its bytes, as far as the trace has been told */
    uint32_t thread;    /* that it is of, there */
    size_t parts;
    uintptr_t sum; /* of the addresses of its parts: where one is left, that one */
};

struct part {
    struct life *life;
    struct handle *handle;
    struct part *next; /* of the same handle, in the order of their bytes */
};

struct handle {
    struct iobuf_buf *buf;
    uintptr_t data;
    size_t size;
    struct part *first, *last;
    struct handle *next; /* in its bucket */
};

union node {
    union node *next;
    struct life life;
    struct part part;
    struct handle handle;
};

/* From where neighbours in a buf get consecutive numbers, so that a coalesce of them can be told. Which buf has which is forgotten
 * where two meet: then a run of numbers ends. */
struct home {
    uintptr_t buf;
    uint64_t next, end;
};

static struct shard {
    _Alignas(64) atomic_flag locked;
    struct handle **buckets;
    size_t room, count;
    union node *free;
    struct home homes[HOMES];
} shards[SHARDS];

/* A checked library keeps a tag in the upper 16 bits. */
static uintptr_t buf_of(const iobuf_slice *s)
{
    return sizeof(uintptr_t) == 4 ? (uintptr_t)s->buf_ : (uintptr_t)((uint64_t)(uintptr_t)s->buf_ << 16 >> 16);
}

static uint64_t mix(uint64_t value)
{
    return value * UINT64_C(0x9e3779b97f4a7c15);
}

static struct shard *shard_of(uintptr_t buf)
{
    return &shards[mix(buf >> 4) >> 58];
}

static struct handle **bucket_of(const struct shard *shard, uintptr_t data, size_t size)
{
    return &shard->buckets[(size_t)(mix(data ^ (uint64_t)size << 40) >> 20) & (shard->room - 1)];
}

static void free_node(struct shard *shard, void *gone)
{
    union node *const node = gone;
    node->next = shard->free;
    shard->free = node;
}

static void *new_node(struct shard *shard)
{
    if (shard->free == NULL) {
        union node *const nodes = recorder_map(NODES * sizeof *nodes);
        for (size_t at = 0; nodes != NULL && at < NODES; at++)
            free_node(shard, &nodes[at]);
    }
    union node *const node = shard->free;
    if (node != NULL)
        shard->free = node->next;
    return node;
}

static bool grow(struct shard *shard)
{
    const size_t room = shard->room == 0 ? BUCKETS : 2 * shard->room;
    struct handle **const buckets = recorder_map(room * sizeof(struct handle *));
    struct handle **const old = shard->buckets;
    const size_t old_room = shard->room;
    if (buckets == NULL)
        return false;
    shard->buckets = buckets;
    shard->room = room;
    for (size_t at = 0; at < old_room; at++) {
        for (struct handle *handle = old[at], *next = NULL; handle != NULL; handle = next) {
            struct handle **const bucket = bucket_of(shard, handle->data, handle->size);
            next = handle->next;
            handle->next = *bucket;
            *bucket = handle;
        }
    }
    if (old != NULL)
        (void)munmap(old, old_room * sizeof(struct handle *));
    return true;
}

/* The shard has buckets. */
static void insert(struct shard *shard, struct handle *handle, const iobuf_slice *s)
{
    if (shard->count >= shard->room)
        (void)grow(shard); /* else the lists get longer */
    struct handle **const bucket = bucket_of(shard, (uintptr_t)s->data_, s->size_);
    handle->buf = s->buf_;
    handle->data = (uintptr_t)s->data_;
    handle->size = s->size_;
    handle->next = *bucket;
    *bucket = handle;
    shard->count++;
}

/* Where the handle is linked to; what is there is NULL if it is not known. */
static struct handle **find(const struct shard *shard, const iobuf_slice *s)
{
    static struct handle *none;
    struct handle **at = shard->buckets == NULL ? &none : bucket_of(shard, (uintptr_t)s->data_, s->size_);
    while (*at != NULL && ((*at)->buf != s->buf_ || (*at)->data != (uintptr_t)s->data_ || (*at)->size != s->size_))
        at = &(*at)->next;
    return at;
}

static void append(struct handle *handle, struct part *part)
{
    part->handle = handle;
    part->next = NULL;
    if (handle->last == NULL)
        handle->first = part;
    else
        handle->last->next = part;
    handle->last = part;
}

static bool attach(struct shard *shard, struct handle *handle, struct life *life)
{
    struct part *const part = new_node(shard);
    if (part == NULL)
        return false;
    part->life = life;
    life->parts++;
    life->sum += (uintptr_t)part;
    append(handle, part);
    return true;
}

static struct handle *new_handle(struct shard *shard)
{
    struct handle *const handle = shard->buckets != NULL || grow(shard) ? new_node(shard) : NULL;
    if (handle != NULL)
        *handle = (struct handle){0};
    return handle;
}

static uint64_t new_id(struct shard *shard, uintptr_t buf)
{
    struct home *const home = &shard->homes[(mix(buf >> 4) >> 32) % HOMES];
    if (home->buf != buf || home->next == home->end) {
        const uint64_t next = recorder_ids(IDS);
        *home = (struct home){.buf = buf, .next = next, .end = next + IDS};
    }
    return home->next++;
}

/* In the child of a fork, which does not get the nodes back. */
static void forget(void)
{
    for (size_t at = 0; at < SHARDS; at++)
        shards[at] = (struct shard){.locked = ATOMIC_FLAG_INIT};
}

/* Events. The shard is locked. */

static void short_of_memory(void)
{
    recorder_give_up("a call", "memory is short");
}

static void take_over(struct recorder *recorder, struct life *life)
{
    if (life->thread == recorder_thread(recorder))
        return;
    life->thread = recorder_thread(recorder);
    recorder_put(recorder, &(struct trace_event){.kind = TRACE_HANDOVER, .id = life->id, .bytes = life->thread}, NULL);
}

static void put(struct recorder *recorder, struct life *life, enum trace_kind kind, uint64_t bytes)
{
    if (bytes == 0 && kind != TRACE_RELEASE)
        return;
    take_over(recorder, life);
    recorder_put(recorder, &(struct trace_event){.kind = kind, .id = life->id, .bytes = bytes}, NULL);
}

/* What only this handle refers to shrinks with it. */
static void fit(struct recorder *recorder, const struct part *part)
{
    const struct handle *const handle = part->handle;
    const uintptr_t end = handle->data + handle->size;
    struct life *const life = part->life;
    if (life->parts != 1)
        return;
    const uintptr_t from = handle->data < life->from ? life->from : handle->data < life->to ? handle->data : life->to;
    put(recorder, life, TRACE_TRUNCATE_FRONT, from - life->from);
    life->from = from;
    const uintptr_t to = end > life->to ? life->to : end > from ? end : from;
    put(recorder, life, TRACE_TRUNCATE_BACK, life->to - to);
    life->to = to;
}

static void fit_all(struct recorder *recorder, const struct handle *handle)
{
    for (const struct part *part = handle->first; part != NULL; part = part->next)
        fit(recorder, part);
}

/* The handle has taken so many bytes in front. They belong to the life that they are in front of, unless others refer to that. */
static void widen(struct recorder *recorder, const struct handle *handle, size_t bytes)
{
    for (const struct part *part = handle->first; part != NULL; part = part->next) {
        struct life *const life = part->life;
        if (life->parts == 1 && life->from == handle->data + bytes) {
            put(recorder, life, TRACE_EXPAND, bytes);
            life->from = handle->data;
            return;
        }
    }
}

/* With its last part a life ends. With the last but one the rest is fitted, unless the other thread that has it does that. */
static void detach(struct recorder *recorder, struct shard *shard, struct part *part)
{
    struct life *const life = part->life;
    life->sum -= (uintptr_t)part;
    free_node(shard, part);
    if (--life->parts == 0) {
        put(recorder, life, TRACE_RELEASE, 0);
        free_node(shard, life);
    } else if (life->parts == 1 && life->thread == recorder_thread(recorder)) {
        fit(recorder, (const struct part *)life->sum);
    }
}

/* Runs of consecutive numbers, those with a part from `added` on. */
static void put_coalesced(struct recorder *recorder, const struct handle *handle, const struct part *added)
{
    bool is_new = false;
    uint64_t count = 0;
    for (const struct part *part = handle->first; part != NULL; part = part->next) {
        is_new = is_new || part == added;
        count++;
        if (part->next != NULL && part->next->life->id == part->life->id + 1)
            continue;
        if (is_new && count > 1) {
            recorder_put(recorder,
                         &(struct trace_event){.kind = TRACE_COALESCE, .id = part->life->id - (count - 1), .bytes = count}, NULL);
        }
        count = 0;
    }
}

/* What happens to a handle. Each begins and ends with the lock of its shard. */

static struct recorder *begin_on(struct shard *shard)
{
    struct recorder *const recorder = recorder_enter();
    if (recorder == NULL) {
        short_of_memory();
        recorder_leave();
        return NULL;
    }
    recorder_lock(&shard->locked);
    return recorder;
}

static void end_on(struct shard *shard)
{
    recorder_unlock(&shard->locked);
    recorder_leave();
}

static void add(const iobuf_slice *s, size_t reserve, const void *caller)
{
    if (s->buf_ == NULL || reserve > TRACE_LARGEST || !recorder_wants_size(s->size_))
        return;
    struct shard *const shard = shard_of(buf_of(s));
    struct recorder *const recorder = begin_on(shard);
    if (recorder == NULL)
        return;
    struct handle *const handle = new_handle(shard);
    struct life *const life = handle == NULL ? NULL : new_node(shard);
    if (life != NULL) {
        const uintptr_t data = (uintptr_t)s->data_;
        *life =
            (struct life){.id = new_id(shard, buf_of(s)), .from = data, .to = data + s->size_, .thread = recorder_thread(recorder)};
    }
    if (life != NULL && attach(shard, handle, life)) {
        insert(shard, handle, s);
        recorder_put(recorder, &(struct trace_event){.kind = TRACE_ALLOC, .id = life->id, .bytes = s->size_, .reserve = reserve},
                     caller);
    } else {
        short_of_memory();
    }
    end_on(shard);
}

/* NULL if it is not known. It has to be put back or dropped. */
static struct handle *take(const iobuf_slice *s)
{
    if (s->buf_ == NULL || !recorder_wants())
        return NULL;
    struct shard *const shard = shard_of(buf_of(s));
    if (begin_on(shard) == NULL)
        return NULL;
    struct handle **const at = find(shard, s);
    struct handle *const handle = *at;
    if (handle != NULL) {
        *at = handle->next;
        shard->count--;
    }
    end_on(shard);
    return handle;
}

/* `front`: so many bytes were taken in front. */
static void put_back(struct handle *handle, const iobuf_slice *s, size_t front)
{
    struct shard *const shard = shard_of(buf_of(s));
    struct recorder *const recorder = handle == NULL ? NULL : begin_on(shard);
    if (recorder == NULL)
        return;
    insert(shard, handle, s);
    if (front != 0)
        widen(recorder, handle, front);
    fit_all(recorder, handle);
    end_on(shard);
}

static void drop(struct handle *handle, uintptr_t buf)
{
    struct shard *const shard = shard_of(buf);
    struct recorder *const recorder = handle == NULL ? NULL : begin_on(shard);
    if (recorder == NULL)
        return;
    for (struct part *part = handle->first, *next = NULL; part != NULL; part = next) {
        next = part->next;
        detach(recorder, shard, part);
    }
    free_node(shard, handle);
    end_on(shard);
}

/* `out` refers to the lives that its bytes come from; of none, to the one that it lies behind. */
static bool share_parts(struct shard *shard, const struct handle *handle, struct handle *out, const iobuf_slice *s)
{
    const uintptr_t from = (uintptr_t)s->data_;
    const uintptr_t to = from + s->size_;
    const struct part *near = handle->first;
    for (const struct part *part = handle->first; part != NULL; part = part->next) {
        if (part->life->from < to && part->life->to > from && !attach(shard, out, part->life))
            return false;
        if (part->life->from <= from)
            near = part;
    }
    return out->first != NULL || (near != NULL && attach(shard, out, near->life));
}

static void share(const iobuf_slice *s, const iobuf_slice *out)
{
    if (s->buf_ == NULL || !recorder_wants())
        return;
    struct shard *const shard = shard_of(buf_of(s));
    if (begin_on(shard) == NULL)
        return;
    const struct handle *const handle = *find(shard, s);
    struct handle *const other = handle == NULL ? NULL : new_handle(shard);
    if (other != NULL && share_parts(shard, handle, other, out))
        insert(shard, other, out);
    else if (handle != NULL)
        short_of_memory();
    end_on(shard);
}

/* Each life goes where its bytes are, or to both; each side has one at least. */
static bool split_parts(struct shard *shard, struct handle *handle, struct handle *tail, uintptr_t at)
{
    struct part *part = handle->first;
    handle->first = handle->last = NULL;
    for (struct part *next = NULL; part != NULL; part = next) {
        next = part->next;
        const bool before = part->life->from < at || handle->first == NULL;
        const bool behind = part->life->to > at || (next == NULL && tail->first == NULL);
        append(before ? handle : tail, part);
        if (before && behind && !attach(shard, tail, part->life))
            return false;
    }
    return true;
}

static void split(struct handle *handle, const iobuf_slice *s, const iobuf_slice *tail)
{
    struct shard *const shard = shard_of(buf_of(s));
    struct recorder *const recorder = handle == NULL ? NULL : begin_on(shard);
    if (recorder == NULL)
        return;
    struct handle *const other = new_handle(shard);
    if (other != NULL && split_parts(shard, handle, other, (uintptr_t)tail->data_)) {
        insert(shard, handle, s);
        insert(shard, other, tail);
        fit_all(recorder, handle);
        fit_all(recorder, other);
    } else {
        short_of_memory();
    }
    end_on(shard);
}

struct taken {
    iobuf_slice slice; /* as it was */
    struct handle *handle;
};

/* The handles of `count` slices became that of one. */
static void join(const struct taken *taken, size_t count, const iobuf_slice *into)
{
    struct handle *whole = NULL;
    struct part *added = NULL;
    struct shard *const shard = shard_of(buf_of(into));
    struct recorder *const recorder = into->buf_ == NULL ? NULL : begin_on(shard);
    if (recorder == NULL)
        return;
    for (size_t at = 0; at < count; at++) {
        struct handle *const handle = taken[at].handle;
        if (handle == NULL)
            continue;
        if (whole == NULL) {
            whole = handle;
            insert(shard, whole, into); /* first: what is fitted below looks at it */
            continue;
        }
        for (struct part *part = handle->first, *next = NULL; part != NULL; part = next) {
            next = part->next;
            if (part->life == whole->last->life) { /* it was split */
                detach(recorder, shard, part);
                continue;
            }
            append(whole, part);
            if (added == NULL)
                added = part;
        }
        free_node(shard, handle);
    }
    if (added != NULL) {
        for (const struct part *part = whole->first; part != NULL; part = part->next)
            take_over(recorder, part->life);
        put_coalesced(recorder, whole, added);
    }
    if (whole != NULL)
        fit_all(recorder, whole);
    end_on(shard);
}

/* Takes out the handles of an array; NULL if memory is short, and then none is. */
static struct taken *take_all(const iobuf_slice *slices, size_t count, struct taken few[FEW])
{
    struct taken *const taken = count <= FEW ? few : recorder_map(count * sizeof *taken);
    if (taken == NULL)
        short_of_memory();
    for (size_t at = 0; taken != NULL && at < count; at++)
        taken[at] = (struct taken){.slice = slices[at], .handle = take(&slices[at])};
    return taken;
}

static void done_with(struct taken *taken, size_t count)
{
    if (count > FEW)
        (void)munmap(taken, count * sizeof *taken);
}

/* Whether iobuf_coalesce joins the slice to those that end in front of it: neighbours in a buf, together of at most max_size. */
static bool joins(const iobuf_slice *first, size_t so_far, const iobuf_slice *next, size_t max_size)
{
    return buf_of(first) != 0 && buf_of(first) == buf_of(next) && so_far <= max_size && next->size_ <= max_size - so_far &&
           (uintptr_t)first->data_ + so_far == (uintptr_t)next->data_;
}

/* What the program calls */

EXPORT int iobuf_alloc(iobuf_allocator *a, size_t size, iobuf_slice *out)
{
    const int status = real_iobuf_alloc(a, size, out);
    if (status == IOBUF_OK)
        add(out, a->reserve_, CALLER);
    return status;
}

EXPORT int iobuf_copy(iobuf_allocator *a, const void *bytes, size_t size, iobuf_slice *out)
{
    const int status = real_iobuf_copy(a, bytes, size, out);
    if (status == IOBUF_OK)
        add(out, a->reserve_, CALLER);
    return status;
}

EXPORT int iobuf_reader_read(iobuf_reader *r, size_t size, iobuf_slice *out)
{
    const int status = real_iobuf_reader_read(r, size, out);
    if (status == IOBUF_OK)
        add(out, 0, CALLER);
    return status;
}

EXPORT int iobuf_reader_read_some(iobuf_reader *r, size_t max, iobuf_slice *out)
{
    const int status = real_iobuf_reader_read_some(r, max, out);
    if (status == IOBUF_OK)
        add(out, 0, CALLER);
    return status;
}

EXPORT void iobuf_slice_release(iobuf_slice *s)
{
    drop(take(s), buf_of(s));
    real_iobuf_slice_release(s);
}

EXPORT void iobuf_slice_release_previous(iobuf_slice *s, iobuf_slice *previous)
{
    drop(take(previous), buf_of(previous));
    real_iobuf_slice_release_previous(s, previous);
}

EXPORT void iobuf_slice_truncate_front(iobuf_slice *s, size_t bytes)
{
    struct handle *const handle = take(s);
    real_iobuf_slice_truncate_front(s, bytes);
    put_back(handle, s, 0);
}

EXPORT void iobuf_slice_truncate_back(iobuf_slice *s, size_t bytes)
{
    struct handle *const handle = take(s);
    real_iobuf_slice_truncate_back(s, bytes);
    put_back(handle, s, 0);
}

EXPORT bool iobuf_slice_expand_front(iobuf_slice *s, size_t bytes)
{
    struct handle *const handle = take(s);
    const bool expanded = real_iobuf_slice_expand_front(s, bytes);
    put_back(handle, s, expanded ? bytes : 0);
    return expanded;
}

EXPORT int iobuf_allocator_shrink(iobuf_allocator *a, iobuf_slice *last, size_t size)
{
    struct handle *const handle = take(last);
    const int status = real_iobuf_allocator_shrink(a, last, size);
    put_back(handle, last, 0);
    return status;
}

EXPORT int iobuf_slice_share(iobuf_slice *s, size_t offset, size_t size, iobuf_slice *out)
{
    const int status = real_iobuf_slice_share(s, offset, size, out);
    if (status == IOBUF_OK)
        share(s, out);
    return status;
}

EXPORT int iobuf_slice_split(iobuf_slice *s, size_t at, iobuf_slice *tail)
{
    struct handle *const handle = take(s);
    const int status = real_iobuf_slice_split(s, at, tail);
    if (status == IOBUF_OK)
        split(handle, s, tail);
    else
        put_back(handle, s, 0);
    return status;
}

EXPORT int iobuf_slice_compact(iobuf_slice *s, iobuf_allocator *a)
{
    const uintptr_t buf = buf_of(s);
    struct handle *const handle = take(s);
    const int status = real_iobuf_slice_compact(s, a);
    if (buf_of(s) == buf) {
        put_back(handle, s, 0);
    } else {
        add(s, a->reserve_, CALLER);
        drop(handle, buf);
    }
    return status;
}

EXPORT size_t iobuf_coalesce(iobuf_slice *slices, size_t count, size_t max_size)
{
    struct taken few[FEW];
    struct taken *const taken = count < 2 || !recorder_wants() ? NULL : take_all(slices, count, few);
    const size_t left = real_iobuf_coalesce(slices, count, max_size);
    if (taken == NULL)
        return left;
    for (size_t into = 0, at = 0; into < left && at < count; into++) {
        const size_t first = at++;
        size_t size = taken[first].slice.size_;
        for (; at < count && joins(&taken[first].slice, size, &taken[at].slice, max_size); at++)
            size += taken[at].slice.size_;
        join(taken + first, at - first, &slices[into]);
    }
    done_with(taken, count);
    return left;
}

EXPORT int iobuf_writev(int fd, iobuf_slice *slices, size_t *count, size_t *written)
{
    struct taken few[FEW];
    const size_t before = count == NULL || slices == NULL ? 0 : *count;
    struct taken *const taken = before == 0 || !recorder_wants() ? NULL : take_all(slices, before, few);
    const int status = real_iobuf_writev(fd, slices, count, written);
    if (taken == NULL)
        return status;
    const size_t gone = before - *count;
    for (size_t at = 0; at < before; at++) {
        if (at < gone)
            drop(taken[at].handle, buf_of(&taken[at].slice));
        else
            put_back(taken[at].handle, &slices[at - gone], 0);
    }
    done_with(taken, before);
    return status;
}

static __attribute__((constructor)) void begin(void)
{
    recorder_begin(0, forget);
}
