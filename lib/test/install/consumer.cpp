// A user's program in C++: messages cut from a stream.
//
// SPDX-License-Identifier: BSD-3-Clause
#include <iobuf/iobuf.h>

#include <cstring>
#include <iostream>
#include <string>

static ssize_t read_text(void *context, void *into, size_t room, int *)
{
    auto *text = static_cast<std::string *>(context);
    size_t size = text->copy(static_cast<char *>(into), room);
    text->erase(0, size);
    return static_cast<ssize_t>(size);
}

int main()
{
    std::string text = "Hello world\n", got;
    iobuf_pool *pool = nullptr;
    iobuf_reader reader;
    iobuf_slice slice;
    if (iobuf_pool_create(nullptr, &pool) != IOBUF_OK || iobuf_reader_init(&reader, pool, read_text, &text) != IOBUF_OK)
        return 1;
    while (iobuf_reader_read(&reader, 4, &slice) == IOBUF_OK) {
        got.append(reinterpret_cast<const char *>(iobuf_slice_data(&slice)), iobuf_slice_size(&slice));
        iobuf_slice_release(&slice);
    }
    iobuf_reader_close(&reader);
    iobuf_pool_close(pool);
    std::cout << got;
    return got == "Hello world\n" ? 0 : 2;
}
