/* The proof behind malloc_account.h has two parts. The names that programs call must resolve into the image that also has a
 * function which only this allocator has; and that function must see the memory that they hand out.
 */
#include "peers/malloc_account.h"

#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <new>

#include "peers/peer.h"
#include "workload/opaque.h"

namespace bench
{

namespace
{

/* Enough to show in any account, and below what is taken from the kernel one by one. */
constexpr std::size_t kProbe = 100000;

template <class Function> Function *look_up(const char *symbol)
{
    return reinterpret_cast<Function *>(dlsym(RTLD_DEFAULT, symbol));
}

/* ------ glibc: all of the heap but its topmost free block, which the next request may never need, is the least it holds */

std::string glibc_version()
{
    return gnu_get_libc_version();
}

std::size_t glibc_allocated()
{
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

std::size_t glibc_held()
{
    const struct mallinfo2 info = mallinfo2();
    return info.arena + info.hblkhd - info.keepcost;
}

/* ------ jemalloc: physically resident pages, of which those that wait to be given back are part */

template <class T> T jemalloc_ask(const char *name)
{
    static const auto mallctl = look_up<int(const char *, void *, std::size_t *, void *, std::size_t)>("mallctl");
    T value = {};
    std::size_t size = sizeof value;
    if (mallctl(name, &value, &size, nullptr, 0) != 0)
        die("jemalloc does not answer mallctl");
    return value;
}

/* Figures are as of the last epoch. */
void jemalloc_refresh()
{
    static const auto mallctl = look_up<int(const char *, void *, std::size_t *, void *, std::size_t)>("mallctl");
    std::uint64_t epoch = 1;
    mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
}

std::string jemalloc_version()
{
    return jemalloc_ask<const char *>("version");
}

std::size_t jemalloc_allocated()
{
    return jemalloc_ask<std::uint64_t>("thread.allocated") - jemalloc_ask<std::uint64_t>("thread.deallocated");
}

std::size_t jemalloc_held()
{
    jemalloc_refresh();
    return jemalloc_ask<std::size_t>("stats.resident");
}

/* ------ mimalloc: the process's resident pages, since its own account moves by segments of 32 MiB */

std::string mimalloc_version()
{
    const int version = look_up<int()>("mi_version")();
    return std::to_string(version / 100) + "." + std::to_string(version / 10 % 10) + "." + std::to_string(version % 10);
}

bool mimalloc_owns(const void *block)
{
    return look_up<bool(const void *)>("mi_is_in_heap_region")(block) && look_up<bool(const void *)>("mi_check_owned")(block);
}

std::size_t mimalloc_held()
{
    std::ifstream statm("/proc/self/statm");
    std::size_t virtual_pages = 0;
    std::size_t resident_pages = 0;
    statm >> virtual_pages >> resident_pages;
    return resident_pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/* ------ tcmalloc: all but the free spans of its page heap, which grows by a megabyte and more at a time: as with glibc */

std::size_t tcmalloc_ask(const char *name)
{
    static const auto get = look_up<int(const char *, std::size_t *)>("MallocExtension_GetNumericProperty");
    std::size_t value = 0;
    if (get(name, &value) == 0)
        die("tcmalloc does not answer MallocExtension_GetNumericProperty");
    return value;
}

std::string tcmalloc_version()
{
    int major;
    int minor;
    const char *patch;
    return look_up<const char *(int *, int *, const char **)>("tc_version")(&major, &minor, &patch);
}

bool tcmalloc_owns(const void *block)
{
    constexpr int kOwned = 1; /* MallocExtension_kOwned */
    return look_up<int(const void *)>("MallocExtension_GetOwnership")(block) == kOwned;
}

std::size_t tcmalloc_allocated()
{
    return tcmalloc_ask("generic.current_allocated_bytes");
}

std::size_t tcmalloc_held()
{
    return tcmalloc_ask("generic.heap_size") - tcmalloc_ask("tcmalloc.pageheap_free_bytes") -
           tcmalloc_ask("tcmalloc.pageheap_unmapped_bytes");
}

/* ------ the proof */

struct Allocator {
    const char *name;
    const char *only_it_has;
    std::string (*version)();
    std::size_t (*allocated)();          /* bytes in use; NULL: it does not say */
    bool (*owns)(const void *something); /* NULL: it does not say */
    std::size_t (*held)();
};

constexpr Allocator kAllocators[] = {
    {"glibc", "gnu_get_libc_version", glibc_version, glibc_allocated, nullptr, glibc_held},
    {"jemalloc", "mallctl", jemalloc_version, jemalloc_allocated, nullptr, jemalloc_held},
    {"mimalloc", "mi_version", mimalloc_version, nullptr, mimalloc_owns, mimalloc_held},
    {"tcmalloc", "tc_version", tcmalloc_version, tcmalloc_allocated, tcmalloc_owns, tcmalloc_held},
};

const Allocator *in_use = nullptr;
std::string peer_name;
std::string version_in_use;

std::string image_of(const char *symbol)
{
    Dl_info info;
    const void *const address = dlsym(RTLD_DEFAULT, symbol);
    return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fname : "nothing";
}

/* Whether the allocator sees one block come and go; `take` and `give` are what programs call. */
template <class Take, class Give> bool sees(const Allocator &allocator, Take take, Give give)
{
    const std::size_t before = allocator.allocated == nullptr ? 0 : allocator.allocated();
    auto *const block = static_cast<std::uint8_t *>(take(opaque(kProbe)));
    if (block == nullptr)
        return false;
    touch(block);
    const bool owned = allocator.owns == nullptr || (allocator.owns(block) && !allocator.owns(&before));
    const bool came = allocator.allocated == nullptr || allocator.allocated() >= before + kProbe;
    give(block);
    const bool went = allocator.allocated == nullptr || allocator.allocated() < before + kProbe;
    return owned && came && went;
}

void refuse(const std::string &wanted, const std::string &why)
{
    die(("malloc is not " + wanted + "'s: " + why +
         "; LD_PRELOAD its library and pass --malloc NAME, or neither of the two for glibc's")
            .c_str());
}

} // namespace

void malloc_prove(const std::string &wanted)
{
    const std::string name = wanted.empty() ? "glibc" : wanted;
    for (const Allocator &allocator : kAllocators)
        if (name == allocator.name)
            in_use = &allocator;
    const std::string image = image_of(in_use->only_it_has);
    for (const char *symbol : {"malloc", "free", "calloc", "realloc", "aligned_alloc"})
        if (image_of(symbol) != image)
            refuse(name, std::string(symbol) + " is in " + image_of(symbol));
    /* C++'s own operators call malloc and free; a library that replaces them does so for both. */
    for (const char *symbol : {"_Znwm", "_ZdlPv"})
        if (image_of(symbol) != image && image_of(symbol).find("libstdc++") == std::string::npos &&
            image_of(symbol).find("libc++") == std::string::npos)
            refuse(name, std::string(symbol) + " is in " + image_of(symbol));
    if (!sees(*in_use, std::malloc, std::free))
        refuse(name, "it does not see what malloc hands out");
    if (!sees(
            *in_use, [](std::size_t size) { return ::operator new(size); }, [](void *block) { ::operator delete(block); }))
        refuse(name, "it does not see what operator new hands out");
    peer_name = wanted.empty() ? "malloc" : wanted;
    version_in_use = name + " " + in_use->version();
}

const char *malloc_name()
{
    return peer_name.c_str();
}

const std::string &malloc_version()
{
    return version_in_use;
}

std::size_t malloc_held()
{
    return in_use->held();
}

} // namespace bench
