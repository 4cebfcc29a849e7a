// The header as C++17: it compiles without a warning, every inline is used, every function links, and enough of it runs to see
// that C and C++ agree on the layout.
//
// SPDX-License-Identifier: BSD-3-Clause
#include <iobuf/iobuf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

static_assert(std::is_trivially_copyable<iobuf_slice>::value, "a slice is a plain value");
static_assert(std::is_standard_layout<iobuf_allocator>::value, "an allocator is plain storage");
static_assert(std::is_standard_layout<iobuf_reader>::value, "a reader is plain storage");
static_assert(sizeof(void *) != 8 || sizeof(iobuf_slice) <= 32, "a slice is small");

namespace
{

int failures = 0;

void require(bool holds, const char *what, int line)
{
    if (holds)
        return;
    std::fprintf(stderr, "cxx_include.cpp:%d: not so: %s\n", line, what);
    failures++;
}

#define REQUIRE(condition) require((condition), #condition, __LINE__)

// How a C++ program would own a slice: moved, never copied.
class slice
{
  public:
    slice() = default;
    explicit slice(iobuf_slice s) : s_(s) {}
    slice(slice &&other) noexcept : s_(std::exchange(other.s_, iobuf_slice())) {}
    slice &operator=(slice &&other) noexcept
    {
        std::swap(s_, other.s_);
        return *this;
    }
    slice(const slice &) = delete;
    slice &operator=(const slice &) = delete;
    ~slice() { iobuf_slice_release(&s_); }
    iobuf_slice *get() { return &s_; }

  private:
    iobuf_slice s_{};
};

void *allocate(void *context, size_t size, size_t alignment)
{
    void *memory = nullptr;
    ++*static_cast<int *>(context);
    return posix_memalign(&memory, alignment, size) == 0 ? memory : nullptr;
}

void deallocate(void *context, void *memory, size_t)
{
    --*static_cast<int *>(context);
    std::free(memory);
}

ssize_t read_text(void *context, void *into, size_t room, int *)
{
    auto *text = static_cast<const char **>(context);
    size_t size = std::strlen(*text) < room ? std::strlen(*text) : room;
    std::memcpy(into, *text, size);
    *text += size;
    return static_cast<ssize_t>(size);
}

void count_free(void *, size_t, void *context)
{
    ++*static_cast<int *>(context);
}

bool holds(const iobuf_slice *s, const char *text)
{
    return iobuf_slice_size(s) == std::strlen(text) && std::memcmp(iobuf_slice_data(s), text, std::strlen(text)) == 0;
}

} // namespace

int main()
{
    int blocks = 0, freed = 0;
    iobuf_pool_options options{};
    options.min_size = 1024;
    options.backing.allocate = allocate;
    options.backing.deallocate = deallocate;
    options.backing.context = &blocks;
    iobuf_pool *pool = nullptr;
    REQUIRE(iobuf_pool_create(&options, &pool) == IOBUF_OK);

    iobuf_allocator allocator;
    REQUIRE(iobuf_allocator_init(&allocator, pool, 8) == IOBUF_OK);
    {
        slice one, two, part, tail, compacted;
        REQUIRE(iobuf_alloc(&allocator, 4, one.get()) == IOBUF_OK);
        std::memcpy(iobuf_slice_data(one.get()), "body", 4);
        REQUIRE(iobuf_slice_headroom(one.get()) == 8);
        REQUIRE(iobuf_slice_buf_size(one.get()) == 1024);
        REQUIRE(iobuf_slice_expand_front(one.get(), 2));
        std::memcpy(iobuf_slice_data(one.get()), "a ", 2);
        REQUIRE(holds(one.get(), "a body"));
        iobuf_slice_truncate_front(one.get(), 2);
        iobuf_slice_truncate_back(one.get(), 1);
        REQUIRE(holds(one.get(), "bod"));

        REQUIRE(iobuf_copy(&allocator, "0123456789", 10, two.get()) == IOBUF_OK);
        REQUIRE(iobuf_allocator_shrink(&allocator, two.get(), 8) == IOBUF_OK);
        REQUIRE(iobuf_slice_share(two.get(), 2, 3, part.get()) == IOBUF_OK);
        REQUIRE(holds(part.get(), "234"));
        REQUIRE(iobuf_slice_split(two.get(), 5, tail.get()) == IOBUF_OK);
        iobuf_slice both[2] = {*two.get(), *tail.get()};
        *tail.get() = iobuf_slice();
        REQUIRE(iobuf_coalesce(both, 2, 100) == 1);
        *two.get() = both[0];
        REQUIRE(holds(two.get(), "01234567"));

        iovec iov[2];
        REQUIRE(iobuf_slices_to_iovec(both, 1, iov, 2) == 1);
        iobuf_slice_release_previous(two.get(), one.get());
        REQUIRE(!iobuf_slice_claim_prefix(two.get()));
        iobuf_slice_free_entire_prefix(two.get());
        slice moved(std::move(two));
        REQUIRE(holds(moved.get(), "01234567"));
        REQUIRE(iobuf_slice_compact(moved.get(), &allocator) == IOBUF_OK);

        char bytes[] = "foreign";
        slice wrapped, borrowed(iobuf_slice_borrow(bytes, 7));
        REQUIRE(iobuf_slice_wrap(bytes, 7, count_free, &freed, wrapped.get()) == IOBUF_OK);
        REQUIRE(holds(borrowed.get(), "foreign"));

        iobuf_slice none = iobuf_slice_borrow(nullptr, 0);
        size_t count = 0, written = 1;
        REQUIRE(iobuf_writev(1, &none, &count, &written) == IOBUF_OK && written == 0);
    }
    REQUIRE(freed == 1);

    const char *text = "streamed text";
    iobuf_reader reader, from_fd;
    slice word, rest;
    const uint8_t *seen = nullptr;
    size_t size = 0;
    REQUIRE(iobuf_reader_init(&reader, pool, read_text, &text) == IOBUF_OK);
    REQUIRE(iobuf_reader_peek(&reader, 1, &seen, &size) == IOBUF_OK && size == 13);
    REQUIRE(iobuf_reader_read(&reader, 8, word.get()) == IOBUF_OK && holds(word.get(), "streamed"));
    REQUIRE(iobuf_reader_buffered(&reader) == 5);
    REQUIRE(iobuf_reader_read_some(&reader, 100, rest.get()) == IOBUF_OK && holds(rest.get(), " text"));
    REQUIRE(iobuf_reader_errno(&reader) == 0);
    iobuf_reader_close(&reader);
    REQUIRE(iobuf_reader_init_fd(&from_fd, pool, 0) == IOBUF_OK);
    iobuf_reader_close(&from_fd);
    word = slice();
    rest = slice();

    iobuf_allocator_release(&allocator);
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(pool, &stats);
    REQUIRE(stats.bufs_in_use == 0);
    REQUIRE(iobuf_pool_trim(pool, 0) == stats.bytes_cached);
    iobuf_pool_close(pool);
    REQUIRE(blocks == 0);
    REQUIRE(std::strlen(iobuf_strerror(IOBUF_EOF)) > 0);
    return failures == 0 ? 0 : 1;
}
