/* A buf is taken out of the sums, changed, and placed anew: there is one function that knows what a byte is called. */
#include "trace/account.h"

#include <cstdlib>

#include "peers/peer.h"

namespace bench
{

std::size_t Parts::held() const
{
    std::size_t sum = 0;
    for (const std::size_t part : bytes)
        sum += part;
    return sum;
}

Account::Account(std::size_t min_size, unsigned pinned_below, std::size_t sources)
    : min_size_(min_size), pinned_below_(pinned_below), current_(sources, nullptr)
{
}

iobuf_backing Account::backing()
{
    return iobuf_backing{allocate, deallocate, this};
}

void *Account::allocate(void *context, std::size_t size, std::size_t alignment)
{
    auto *const self = static_cast<Account *>(context);
    void *memory = nullptr;
    if (posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, size) != 0)
        return nullptr;
    auto buf = std::make_unique<Buf>();
    buf->base = reinterpret_cast<std::uintptr_t>(memory);
    buf->size = size;
    self->held_ += size;
    self->backing_gave++;
    self->place(buf.get());
    self->bufs_[buf->base] = std::move(buf);
    return memory;
}

void Account::deallocate(void *context, void *memory, std::size_t size)
{
    auto *const self = static_cast<Account *>(context);
    const auto found = self->bufs_.find(reinterpret_cast<std::uintptr_t>(memory));
    if (found == self->bufs_.end() || found->second->size != size)
        die("the pool gave back what it never got");
    self->take_out(found->second.get());
    found->second->gone = true;
    self->gone_.push_back(std::move(found->second)); /* the event at work may still speak of it */
    self->bufs_.erase(found);
    self->held_ -= size;
    self->backing_got++;
    std::free(memory);
}

bool Account::pins(const Buf &buf) const
{
    return buf.slices > 0 && !buf.open && buf.live * 100 < buf.size * pinned_below_;
}

void Account::place(Buf *buf)
{
    std::size_t *const in = buf->in;
    if (!buf->is_buf) {
        in[kBookkeeping] = buf->size;
    } else if (buf->idle) {
        in[kCached] = buf->size;
    } else {
        const std::size_t dead = buf->cut - buf->extent;
        const std::size_t rest = buf->size - buf->cut;
        in[kLive] = buf->live;
        in[kReserve] = buf->reserve;
        in[kCutOff] = buf->extent - buf->live - buf->reserve;
        in[buf->open ? kOpen : buf->size > min_size_ ? kRounding : kTail] += rest;
        in[buf->open ? kOpen : pins(*buf) ? kPinned : kFreed] += dead;
    }
    for (std::size_t part = 0; part < kParts; part++)
        parts_.bytes[part] += in[part];
}

void Account::take_out(Buf *buf)
{
    for (std::size_t part = 0; part < kParts; part++) {
        parts_.bytes[part] -= buf->in[part];
        buf->in[part] = 0;
    }
}

Account::Buf *Account::find(std::uintptr_t start, std::size_t bytes)
{
    auto at = bufs_.upper_bound(start);
    if (at == bufs_.begin())
        die("a slice lies in no buf");
    Buf *const buf = (--at)->second.get();
    if (start - buf->base > buf->size || bytes > buf->size - (start - buf->base))
        die("a slice lies in no buf");
    return buf;
}

/* The allocator cuts from another buf now; of this one only its slices are left. */
void Account::let_go(Buf *buf)
{
    if (buf == nullptr || buf->gone)
        return;
    take_out(buf);
    buf->open = false;
    buf->idle = buf->slices == 0;
    place(buf);
}

void Account::allocated(std::uint32_t source, const iobuf_slice &slice, std::size_t reserve, Slice *out)
{
    const std::uintptr_t start = reinterpret_cast<std::uintptr_t>(iobuf_slice_data(&slice)) - reserve;
    const std::size_t extent = reserve + iobuf_slice_size(&slice);
    Buf *buf = current_[source];
    /* Asked first: an empty slice at the very end of a buf may look as if it began the next. */
    if (buf == nullptr || buf->gone || start < buf->base || start - buf->base > buf->size ||
        extent > buf->size - (start - buf->base)) {
        let_go(buf);
        buf = current_[source] = find(start, extent);
        buf->cut = 0;
        taken++;
    } else if (start - buf->base < buf->cut) {
        restarted++;
    }
    take_out(buf);
    buf->is_buf = buf->open = true;
    buf->idle = false;
    buf->cut = start - buf->base + extent;
    buf->live += iobuf_slice_size(&slice);
    buf->reserve += reserve;
    buf->extent += extent;
    buf->slices++;
    place(buf);
    *out = Slice{buf, iobuf_slice_size(&slice), reserve, extent};
}

void Account::released(Slice *slice)
{
    Buf *const buf = slice->buf;
    if (buf == nullptr)
        return;
    if (!buf->gone) {
        take_out(buf);
        buf->live -= slice->size;
        buf->reserve -= slice->headroom;
        buf->extent -= slice->extent;
        buf->slices--;
        buf->idle = buf->slices == 0 && !buf->open;
        place(buf);
    }
    *slice = Slice{};
}

void Account::resized(Slice *slice, const iobuf_slice &now)
{
    Buf *const buf = slice->buf;
    if (buf == nullptr)
        return;
    take_out(buf);
    buf->live += iobuf_slice_size(&now) - slice->size;
    buf->reserve += iobuf_slice_headroom(&now) - slice->headroom;
    slice->size = iobuf_slice_size(&now);
    slice->headroom = iobuf_slice_headroom(&now);
    place(buf);
}

/* Only neighbours without spare bytes between them are joined, so that of `from` all but its bytes was nothing or cut off. */
void Account::joined(Slice *into, Slice *from)
{
    into->size += from->size;
    into->headroom += from->headroom;
    into->extent += from->extent;
    into->buf->slices--;
    *from = Slice{};
}

void Account::event_ends()
{
    if (gone_.empty())
        return;
    for (Buf *&buf : current_)
        if (buf != nullptr && buf->gone)
            buf = nullptr;
    gone_.clear();
}

void Account::check(const iobuf_pool *pool) const
{
    iobuf_pool_stats stats;
    iobuf_pool_stats_get(pool, &stats);
    const std::size_t in_use = parts_.held() - parts_.bytes[kCached] - parts_.bytes[kBookkeeping];
    if (parts_.held() != held_ || stats.bytes_cached != parts_.bytes[kCached] || stats.bytes_in_use != in_use)
        die("the pool's own figures are not those that the replay counted");
}

} // namespace bench
