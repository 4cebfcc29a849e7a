/* For tests: each file under a folder. */
#ifndef IOBUF_FUZZ_TEST_CORPUS_H
#define IOBUF_FUZZ_TEST_CORPUS_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef void (*corpus_visit)(const char *path, const uint8_t *bytes, size_t size);

static inline void corpus_file(const char *path, corpus_visit visit)
{
    static uint8_t bytes[1 << 16];
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return;
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    visit(path, bytes, size);
}

static inline int corpus_walk(const char *folder, corpus_visit visit)
{
    DIR *dir = opendir(folder);
    int files = 0;
    if (dir == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[4096];
        struct stat status;
        int length = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || length < 0 || (size_t)length >= sizeof path)
            continue;
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
            files += corpus_walk(path, visit);
        } else {
            corpus_file(path, visit);
            files++;
        }
    }
    closedir(dir);
    return files;
}

#endif
